//! The catalogue: who changes it, what a price is at which moment, what a study is charged.

#![allow(clippy::unwrap_used, reason = "a test may stop")]

use std::{sync::Arc, time::Duration};

use infirmary_diagnosis::{
    Catalogue, ChangeTask, CreateTask, DiagnosisError, EnsureTasks, MockDiagnosisStore, NewPrice, NewTask, Price,
    Prices, Queries, Task, TaskChange, TaskStore,
    testing::{MemoryTasks, at, task},
};
use infirmary_kernel::{
    Action, Caller, Clock, Currency, Done, Gate, Invalid, Limit, LongText, Money, PageRequest, Receipt, Role,
    ShortText, TaskCode, Timestamp, WriteError,
    testing::{CountingIds, ManualClock, MemoryConfidentiality, caller},
};
use proptest::{collection, prelude::*};

#[derive(Default)]
struct Office {
    tasks: MemoryTasks,
    clock: Arc<ManualClock>,
}

impl Office {
    fn gate(&self) -> Gate {
        let journal = Arc::new(self.tasks.journal.clone());
        Gate::new(
            journal.clone(),
            journal,
            Arc::new(MemoryConfidentiality::default()),
            self.clock.clone(),
            Arc::new(CountingIds::default()),
        )
    }

    async fn create(&self, caller: &Caller, code: &str, price: Money) -> Result<Task, DiagnosisError> {
        let creating = CreateTask { gate: self.gate(), tasks: Arc::new(self.tasks.clone()), currency: Currency::GBP };
        let new = NewTask {
            code: TaskCode::parse(code).unwrap(),
            name: ShortText::parse("Chest").unwrap(),
            description: LongText::parse("").unwrap(),
            price,
        };
        match creating.run(caller, new, None, |task| Receipt::from_bytes(task.id.to_string().into_bytes())).await? {
            Done::Now { value, .. } => Ok(value),
            Done::Before(_) => panic!("nothing was created before"),
        }
    }

    async fn change(&self, caller: &Caller, task: &Task, change: TaskChange) -> Result<Task, DiagnosisError> {
        let changing = ChangeTask { gate: self.gate(), tasks: Arc::new(self.tasks.clone()), currency: Currency::GBP };
        changing.run(caller, task.id, task.version, change).await
    }

    fn opening(&self, currency: Currency) -> EnsureTasks {
        EnsureTasks { gate: self.gate(), tasks: Arc::new(self.tasks.clone()), currency }
    }

    fn queries(&self) -> Queries {
        let diagnoses = Arc::new(MockDiagnosisStore::new());
        Queries { gate: self.gate(), diagnoses, tasks: Arc::new(self.tasks.clone()) }
    }
}

fn pounds(amount: i64) -> Money {
    Money::new(amount * 100, Currency::GBP)
}

fn price(amount: Money, from: Option<Timestamp>) -> TaskChange {
    TaskChange { price: Some(NewPrice { amount, from }), ..TaskChange::default() }
}

fn refused_at(result: Result<Task, DiagnosisError>) -> String {
    match result {
        Err(DiagnosisError::Invalid(invalid)) => invalid.fields[0].pointer.to_string(),
        other => panic!("expected a refused value, not {other:?}"),
    }
}

#[tokio::test]
async fn admin_and_accountant_write_the_catalogue_and_everybody_reads_it() {
    let office = Office::default();
    for (role, code) in [(Role::Admin, "A"), (Role::Accountant, "B")] {
        let created = office.create(&caller(role), code, pounds(10)).await.unwrap();
        let renamed = TaskChange { name: ShortText::parse("Spine").ok(), ..TaskChange::default() };
        let changed = office.change(&caller(role), &created, renamed).await.unwrap();
        assert_eq!((changed.name.as_str(), changed.version), ("Spine", 2));
    }
    let known = office.tasks.all().await.unwrap().remove(0);
    for role in [Role::Doctor, Role::Patient] {
        assert!(office.create(&caller(role), "C", pounds(10)).await.is_err());
        assert!(office.change(&caller(role), &known, price(pounds(1), None)).await.is_err());
    }
    for role in Role::ALL {
        assert_eq!(office.queries().task(&caller(role), known.id).await.unwrap(), known);
        assert_eq!(office.queries().tasks(&caller(role), &PageRequest::default()).await.unwrap().items.len(), 2);
    }
}

#[tokio::test]
async fn the_catalogue_comes_in_pages_in_the_order_of_the_code() {
    let office = Office::default();
    for code in ["D", "B", "A", "C", "E"] {
        office.create(&caller(Role::Admin), code, pounds(10)).await.unwrap();
    }
    let mut page = PageRequest { limit: Limit::new(2).unwrap(), after: None };
    let mut codes = Vec::new();
    loop {
        let tasks = office.queries().tasks(&caller(Role::Patient), &page).await.unwrap();
        codes.extend(tasks.items.iter().map(|task| task.code.as_str().to_owned()));
        match tasks.next {
            Some(next) => page.after = Some(next),
            None => break,
        }
    }
    assert_eq!(codes, ["A", "B", "C", "D", "E"]);
}

#[tokio::test]
async fn a_code_is_taken_once_and_a_price_is_in_the_currency_of_the_house() {
    let office = Office::default();
    let admin = caller(Role::Admin);
    office.create(&admin, "XR", pounds(10)).await.unwrap();
    let taken = office.create(&admin, "xr", pounds(10)).await;
    assert!(matches!(taken, Err(DiagnosisError::CodeTaken { code }) if code.as_str() == "XR"));
    let dinars = Money::new(10_000, Currency::parse("IQD").unwrap());
    assert_eq!(refused_at(office.create(&admin, "CT", dinars).await), "/price/currency");
    for amount in [-1, Price::MAX_AMOUNT_MINOR + 1] {
        let amount = Money::new(amount, Currency::GBP);
        assert_eq!(refused_at(office.create(&admin, "CT", amount).await), "/price/amount");
    }
    assert_eq!(office.tasks.all().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_new_price_ends_the_one_before_and_the_past_keeps_its_own() {
    let office = Office::default();
    let admin = caller(Role::Admin);
    let task = office.create(&admin, "XR", pounds(299)).await.unwrap();
    office.clock.advance(Duration::from_secs(60));
    let now = office.clock.now();
    let task = office.change(&admin, &task, price(pounds(320), None)).await.unwrap();
    let task = office.change(&admin, &task, price(pounds(400), Some(at(90_000)))).await.unwrap();
    let task = office.change(&admin, &task, price(pounds(350), Some(at(75_000)))).await.unwrap();
    let times = [0, 59_999, 60_000, 74_999, 75_000, 89_999, 90_000, 9_999_999].map(at);
    let prices = times.map(|time| task.price_at(time).unwrap());
    assert_eq!(prices, [299, 299, 320, 320, 350, 350, 400, 400].map(pounds));
    assert_eq!(task.price_at(Timestamp::from_unix_ms(0)), None, "before there was a task there was no price");
    assert_eq!(now, at(60_000));

    let event = office.tasks.journal.events().pop().unwrap();
    assert_eq!((event.action, event.fields), (Action::TASK_CHANGE, vec!["prices".into()]));
    assert_eq!(refused_at(office.change(&admin, &task, price(pounds(1), Some(at(59_999)))).await), "/price/from");
    let same = office.change(&admin, &task, price(pounds(320), Some(now))).await.unwrap();
    assert_eq!(same.version, task.version, "the price that begins now, said once more, is no change");
}

#[tokio::test]
async fn a_change_of_what_was_changed_meanwhile_is_stale() {
    let office = Office::default();
    let admin = caller(Role::Admin);
    let task = office.create(&admin, "XR", pounds(299)).await.unwrap();
    office.change(&admin, &task, price(pounds(1), None)).await.unwrap();
    let stale = office.change(&admin, &task, price(pounds(2), None)).await;
    assert!(matches!(stale, Err(DiagnosisError::Write(WriteError::Stale))));
}

#[tokio::test]
async fn a_house_opens_with_its_tasks_and_a_changed_one_stays_changed() {
    let office = Office::default();
    office.opening(Currency::GBP).run().await.unwrap();
    let tasks = office.tasks.all().await.unwrap();
    let prices: Vec<_> =
        tasks.iter().map(|task| (task.code.as_str(), task.price_at(at(0)).unwrap().to_string())).collect();
    let xray = "299.00 GBP".to_owned();
    assert_eq!(
        prices,
        [
            ("CT", xray.clone()),
            ("MR", xray.clone()),
            ("REPORT", "50.00 GBP".to_owned()),
            ("US", xray.clone()),
            ("XR", xray)
        ]
    );
    office.change(&caller(Role::Admin), &tasks[0], price(pounds(1), None)).await.unwrap();
    office.opening(Currency::GBP).run().await.unwrap();
    let again = office.tasks.all().await.unwrap();
    assert_eq!((again.len(), again[0].price_at(at(0))), (5, Some(pounds(1))));
}

#[tokio::test]
async fn processes_that_start_at_once_make_each_task_once() {
    let office = Office::default();
    let openings: Vec<_> = (0..16).map(|_| office.opening(Currency::GBP)).collect();
    for opened in futures_util::future::join_all(openings.iter().map(EnsureTasks::run)).await {
        opened.unwrap();
    }
    assert_eq!(office.tasks.all().await.unwrap().len(), 5);
}

#[test]
fn the_first_prices_are_whole_units_of_any_currency() {
    for (currency, expected) in [("GBP", "299.00 GBP"), ("IQD", "299.000 IQD"), ("JPY", "299 JPY")] {
        let amount = Catalogue::default_amount(299, Currency::parse(currency).unwrap());
        assert_eq!(amount.to_string(), expected);
    }
}

fn catalogue(codes: &[&str]) -> Catalogue {
    Catalogue::new(codes.iter().map(|code| task(code)).collect())
}

fn charged(catalogue: &Catalogue, named: &[&str], modality: &str) -> Result<Vec<String>, Invalid> {
    let named: Vec<_> = named.iter().map(|code| TaskCode::parse(code).unwrap()).collect();
    let priced = catalogue.for_study(&named, modality, at(0))?;
    Ok(priced.into_iter().map(|task| task.code.as_str().to_owned()).collect())
}

#[test]
fn a_study_without_tasks_is_charged_by_its_modality() {
    let house = catalogue(&["XR", "CT", "MR", "US", "REPORT"]);
    for modality in ["CR", "DX", "RF", "XA", "MG"] {
        assert_eq!(charged(&house, &[], modality).unwrap(), ["XR"], "{modality}");
    }
    for modality in ["CT", "MR", "US"] {
        assert_eq!(charged(&house, &[], modality).unwrap(), [modality]);
    }
    for modality in ["NM", "PT", "OT"] {
        let refused = charged(&house, &[], modality).unwrap_err();
        assert_eq!(refused.fields[0].pointer, "/tasks");
        assert!(refused.to_string().contains(modality), "{refused}");
    }
    let house = catalogue(&["XR", "MG", "NM"]);
    assert_eq!(charged(&house, &[], "MG").unwrap(), ["MG"], "the house has a task of its own for it");
    assert_eq!(charged(&house, &[], "NM").unwrap(), ["NM"]);
}

#[test]
fn a_study_with_tasks_is_charged_by_each_of_them_once() {
    let mut old = task("OLD");
    old.active = false;
    let mut later = task("LATER");
    later.prices = Prices::starting(pounds(1), at(1)).unwrap();
    let house = Catalogue::new(vec![task("XR"), task("CT"), old, later]);
    assert_eq!(charged(&house, &["CT", "XR"], "NM").unwrap(), ["CT", "XR"]);
    for refused in [vec!["CT", "CT"], vec!["OLD"], vec!["NONE"], vec!["LATER"], vec!["CT"; 21]] {
        let refused = charged(&house, &refused, "CT").unwrap_err();
        assert_eq!(refused.fields[0].pointer, "/tasks", "{refused}");
    }
}

proptest! {
    #[test]
    fn at_each_moment_a_task_has_the_price_that_was_set_last_for_it(
        changes in collection::vec((0..40_u64, 0..20_u64, 1..1_000_i64), 0..20),
    ) {
        let mut now = 0;
        let mut prices = Prices::starting(pounds(1), at(0)).unwrap();
        // What a timeline of single moments says: each change sets all from its own on, up to the next that is planned.
        let mut timeline = [pounds(1); 1_000];
        let mut begins = std::collections::BTreeSet::from([0_u64]);
        for (after, ahead, amount) in changes {
            now += after;
            let from = now + ahead;
            prices = prices.with(pounds(amount), at(from), at(now)).unwrap();
            let until = begins.range(from + 1..).next().copied().unwrap_or(1_000);
            timeline[from as usize..until as usize].fill(pounds(amount));
            begins.insert(from);
        }
        for (moment, expected) in timeline.iter().enumerate() {
            prop_assert_eq!(prices.at(at(moment as u64)).map(|price| price.amount), Some(*expected));
        }
        prop_assert_eq!(Prices::of(prices.as_slice().to_vec()).unwrap(), prices);
    }
}

#[test]
fn prices_that_overlap_are_not_prices() {
    let price = |from, until: Option<u64>| Price { amount: pounds(1), from: at(from), until: until.map(at) };
    assert!(Prices::of(vec![price(0, Some(5)), price(5, None)]).is_ok());
    assert!(Prices::of(vec![price(0, Some(5)), price(7, None)]).is_ok(), "a gap is a time without a price");
    for refused in [
        vec![price(0, None), price(5, None)],
        vec![price(0, Some(6)), price(5, None)],
        vec![price(5, None), price(0, Some(5))],
        vec![price(5, Some(5))],
    ] {
        assert!(Prices::of(refused).is_err());
    }
    let many = Prices::of((0..500).map(|step| price(step, Some(step + 1))).collect()).unwrap();
    assert!(many.with(pounds(1), at(1_000), at(0)).is_err());
}
