//! The catalogue, as far as it was finished there.

use futures_util::TryStreamExt;
use infirmary_diagnosis::{CreatedTask, NewTask, Task};
use infirmary_kernel::{Action, LongText, ShortText, Subject, Trail, WriteError};

use super::{House, old, told::Told};
use crate::{
    command::CommandError,
    legacy::{money::money, words},
};

pub const TASKS: &str = "tasks";

pub async fn import(house: &House, old: &old::Old, told: &mut Told) -> Result<(), CommandError> {
    told.begin(TASKS);
    let known = house.tasks.all().await.map_err(CommandError::use_case)?;
    let mut tasks = old.all(TASKS).await?;
    while let Some(document) = tasks.try_next().await.map_err(old::failed)? {
        told.read(TASKS);
        let Some(id) = old::object_id(&document, "_id") else {
            told.refused(TASKS, None, "its id is no ObjectId");
            continue;
        };
        let name = old::text(&document, "taskName").unwrap_or_default();
        let price = old::text(&document, "Cost").and_then(|cost| money(&cost, house.currency));
        let (Some(code), Ok(name), Some(price)) = (words::task_code(&name), ShortText::parse(&name), price) else {
            told.refused(TASKS, Some(id), "it has no name to make a code of, or no price");
            continue;
        };
        if known.iter().any(|task| task.id == id.to_id() || task.code == code) {
            told.there(TASKS);
            continue;
        }
        let description = LongText::parse(&old::text(&document, "Desc").unwrap_or_default()).unwrap_or_default();
        let new = NewTask { code, name, description, price };
        let task = new.into_task(id.to_id(), house.currency, id.made_at()).map_err(CommandError::use_case)?;
        let event = house.event(Action::TASK_CREATE, Subject::new("task", task.id).at_version(1));
        if !house.dry {
            match house.tasks.create(CreatedTask { task, trail: Trail::new(event) }).await {
                Ok(_) => {}
                Err(WriteError::Conflict { law: Task::ONE_FOR_A_CODE }) => {
                    told.refused(TASKS, Some(id), "its code is that of another task");
                    continue;
                }
                Err(error) => return Err(CommandError::use_case(error)),
            }
        }
        told.added(TASKS, 1);
    }
    Ok(())
}
