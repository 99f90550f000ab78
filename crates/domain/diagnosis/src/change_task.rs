use std::sync::Arc;

use infirmary_kernel::{
    Action, Caller, Currency, Gate, Invalid, LongText, Money, Permission, ShortText, Subject, TaskId, Timestamp, Trail,
    WriteError,
};

use crate::{ChangedTask, DiagnosisError, Task, TaskStore, task::in_currency};

/// A price from a moment on; `None`: from now on.
#[derive(Debug, Clone, Copy)]
pub struct NewPrice {
    pub amount: Money,
    pub from: Option<Timestamp>,
}

/// What to change. `None` leaves a field as it is.
#[derive(Debug, Clone, Default)]
pub struct TaskChange {
    pub name: Option<ShortText>,
    pub description: Option<LongText>,
    pub active: Option<bool>,
    pub price: Option<NewPrice>,
}

impl TaskChange {
    /// Applies it; gives the names of the fields that are different now.
    fn apply(self, task: &mut Task, currency: Currency, now: Timestamp) -> Result<Vec<&'static str>, Invalid> {
        let mut fields = Vec::new();
        macro_rules! field {
            ($field:ident, $value:expr) => {
                if let Some(value) = $value
                    && task.$field != value
                {
                    task.$field = value;
                    fields.push(stringify!($field));
                }
            };
        }
        let prices = match self.price {
            Some(NewPrice { amount, from }) => {
                Some(task.prices.with(in_currency(amount, currency)?, from.unwrap_or(now), now)?)
            }
            None => None,
        };
        field!(name, self.name);
        field!(description, self.description);
        field!(active, self.active);
        field!(prices, prices);
        Ok(fields)
    }
}

/// Admin and accountant change a task: its words, its price, whether it is in use.
pub struct ChangeTask {
    pub gate: Gate,
    pub tasks: Arc<dyn TaskStore>,
    pub currency: Currency,
}

impl ChangeTask {
    /// `seen_version` is the one that the caller saw: a change made meanwhile makes this one `Stale`.
    pub async fn run(
        &self,
        caller: &Caller,
        id: TaskId,
        seen_version: u32,
        change: TaskChange,
    ) -> Result<Task, DiagnosisError> {
        let subject = Subject::new("task", id);
        self.gate.admit(caller, Permission::WriteTasks, subject.clone()).await?;
        let mut task = self.tasks.find(id).await?.ok_or(DiagnosisError::NotFound)?;
        if task.version != seen_version {
            return Err(WriteError::Stale.into());
        }
        let fields = change.apply(&mut task, self.currency, self.gate.now())?;
        if fields.is_empty() {
            return Ok(task);
        }
        task.version += 1;
        let event = self.gate.event(caller, Action::TASK_CHANGE, subject.at_version(task.version)).changing(fields);
        self.tasks.change(ChangedTask { task: task.clone(), trail: Trail::new(event) }).await?;
        Ok(task)
    }
}
