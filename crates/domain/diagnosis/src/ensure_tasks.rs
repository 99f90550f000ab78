use std::sync::Arc;

use infirmary_kernel::{Action, Currency, Gate, LongText, ShortText, Subject, TaskCode, Trail, WriteError};

use crate::{Catalogue, CreatedTask, DiagnosisError, NewTask, Task, TaskStore};

/// Sees to it that the house has the tasks it begins with. Every process does it when it starts, at once if it so happens:
/// a task that is there is left alone, whatever was changed of it.
pub struct EnsureTasks {
    pub gate: Gate,
    pub tasks: Arc<dyn TaskStore>,
    pub currency: Currency,
}

impl EnsureTasks {
    pub async fn run(&self) -> Result<(), DiagnosisError> {
        let known = self.tasks.all().await?;
        for (code, name, units) in Catalogue::DEFAULTS {
            if known.iter().any(|task| task.code.as_str() == code) {
                continue;
            }
            let new = NewTask {
                code: TaskCode::parse(code)?,
                name: ShortText::parse(name)?,
                description: LongText::default(),
                price: Catalogue::default_amount(units, self.currency),
            };
            let now = self.gate.now();
            let task = new.into_task(self.gate.mint(now), self.currency, now)?;
            let event = self.gate.anonymous(None, Action::TASK_CREATE, Subject::new("task", task.id).at_version(1));
            match self.tasks.create(CreatedTask { task, trail: Trail::new(event) }).await {
                Ok(_) | Err(WriteError::Conflict { law: Task::ONE_FOR_A_CODE }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}
