use infirmary_kernel::{Currency, Invalid, Money, ShortText, TaskCode, Timestamp};

use crate::Task;

/// The tasks there are, to look up what a piece of work is charged.
#[derive(Debug, Clone, Default)]
pub struct Catalogue(Vec<Task>);

/// A task at the price of one moment: what a charge keeps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PricedTask {
    pub code: TaskCode,
    pub name: ShortText,
    pub amount: Money,
}

/// Modalities (DICOM PS3.3 C.7.3.1.1.1) that are charged as plain X-ray, unless the house has a task for them.
const PLAIN_X_RAY: [&str; 5] = ["CR", "DX", "RF", "XA", "MG"];

impl Catalogue {
    /// Tasks that one study may be charged by.
    pub const MAX_TASKS_OF_A_STUDY: usize = 20;

    /// What the house begins with: code, name, and amount in whole units of the currency.
    pub const DEFAULTS: [(&'static str, &'static str, i64); 5] = [
        ("XR", "X-ray", 299),
        ("CT", "Computed tomography", 299),
        ("MR", "Magnetic resonance imaging", 299),
        ("US", "Ultrasound", 299),
        ("REPORT", "Report", 50),
    ];

    pub fn new(tasks: Vec<Task>) -> Self {
        Self(tasks)
    }

    /// Amounts of [`Catalogue::DEFAULTS`] in the minor unit of `currency`.
    pub fn default_amount(units: i64, currency: Currency) -> Money {
        let minor = (0..currency.minor_digits()).fold(units, |amount, _| amount.saturating_mul(10));
        Money::new(minor, currency)
    }

    fn active(&self, code: &str) -> Option<&Task> {
        self.0.iter().find(|task| task.active && task.code.as_str() == code)
    }

    /// What a study is charged: by the tasks that are named, else by the one of its modality. Each at the price it has at
    /// `moment`.
    pub fn for_study(&self, named: &[TaskCode], modality: &str, moment: Timestamp) -> Result<Vec<PricedTask>, Invalid> {
        if named.is_empty() {
            return Ok(vec![self.of_modality(modality, moment)?]);
        }
        if named.len() > Self::MAX_TASKS_OF_A_STUDY {
            return Err(Invalid::new("/tasks", "are more than 20; a study is charged by at most so many"));
        }
        if (1..named.len()).any(|place| named[..place].contains(&named[place])) {
            return Err(Invalid::new("/tasks", "names a task twice; a study is charged by each once"));
        }
        named.iter().map(|code| self.price(code.as_str(), moment).map_err(|invalid| invalid.at("/tasks"))).collect()
    }

    /// The codes that [`Catalogue::of_modality`] looks for.
    pub fn codes_for(modality: &str) -> Vec<TaskCode> {
        [modality, "XR"].into_iter().filter_map(|code| TaskCode::parse(code).ok()).collect()
    }

    /// The task called like the modality where the house has one, `XR` for what is plain X-ray.
    pub fn of_modality(&self, modality: &str, moment: Timestamp) -> Result<PricedTask, Invalid> {
        let code = match self.active(modality) {
            None if PLAIN_X_RAY.contains(&modality) => "XR",
            _ => modality,
        };
        self.price(code, moment).map_err(|_| {
            Invalid::new("/tasks", format!("are needed: no task of the catalogue is for the modality {modality} alone"))
        })
    }

    /// The task at the price of the moment, whoever asks for it.
    pub fn price(&self, code: &str, moment: Timestamp) -> Result<PricedTask, Invalid> {
        let refuse = |why: &str| Err(Invalid::new("/task", format!("{code} {why}; see the catalogue of tasks")));
        let Some(task) = self.active(code) else { return refuse("is not a task that is in use") };
        match task.price_at(moment) {
            Some(amount) => Ok(PricedTask { code: task.code.clone(), name: task.name.clone(), amount }),
            None => refuse("has no price at this moment"),
        }
    }
}
