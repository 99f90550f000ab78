use std::sync::Arc;

use infirmary_kernel::{
    Action, Caller, Currency, Done, Gate, Idempotency, Invalid, LongText, Money, Permission, Receipt, ShortText,
    Subject, TaskCode, TaskId, Timestamp, WriteError,
};

use crate::{CreatedTask, DiagnosisError, MAX_TASKS, Prices, Task, TaskStore, task::in_currency};

#[derive(Debug, Clone)]
pub struct NewTask {
    pub code: TaskCode,
    pub name: ShortText,
    pub description: LongText,
    /// What it costs from now on.
    pub price: Money,
}

impl NewTask {
    /// The task. Pure: the id and the time are given.
    pub fn into_task(self, id: TaskId, currency: Currency, now: Timestamp) -> Result<Task, Invalid> {
        let Self { code, name, description, price } = self;
        let prices = Prices::starting(in_currency(price, currency)?, now)?;
        Ok(Task { id, code, name, description, active: true, prices, created_at: now, version: 1 })
    }
}

/// Admin and accountant add to the catalogue.
pub struct CreateTask {
    pub gate: Gate,
    pub tasks: Arc<dyn TaskStore>,
    pub currency: Currency,
}

impl CreateTask {
    pub async fn run(
        &self,
        caller: &Caller,
        new: NewTask,
        idempotency: Option<Idempotency>,
        receipt: impl FnOnce(&Task) -> Receipt,
    ) -> Result<Done<Task>, DiagnosisError> {
        self.gate.admit(caller, Permission::WriteTasks, Subject::all("task")).await?;
        if let Some(receipt) = self.gate.earlier(caller, idempotency.as_ref()).await? {
            return Ok(Done::Before(receipt));
        }
        let now = self.gate.now();
        let task = new.into_task(self.gate.mint(now), self.currency, now)?;
        if self.tasks.all().await?.len() >= MAX_TASKS {
            return Err(Invalid::new("", "is one too many; a catalogue has at most 1,000 tasks").into());
        }
        let receipt = receipt(&task);
        let event = self.gate.event(caller, Action::TASK_CREATE, Subject::new("task", task.id).at_version(1));
        let trail = self.gate.trail(caller, event, idempotency.as_ref(), &receipt);
        match self.tasks.create(CreatedTask { task: task.clone(), trail }).await {
            Ok(written) => Ok(Done::new(written, task, receipt)),
            Err(WriteError::Conflict { law: Task::ONE_FOR_A_CODE }) => {
                Err(DiagnosisError::CodeTaken { code: task.code })
            }
            Err(error) => Err(error.into()),
        }
    }
}
