//! One test for each law of [`ReportStore`]. Every adapter runs them all on an empty store:
//! `infirmary_reports::report_store_laws!(make_house)`, where `make_house` is an async function that gives a
//! [`ReportHouse`] and whatever has to live as long as it does.

#![allow(clippy::unwrap_used, reason = "a law that does not hold is a panic")]

pub use infirmary_kernel::testing::made;

use async_trait::async_trait;
use infirmary_kernel::{
    Clock, DiagnosisId, FileName, Limit, PageRequest, PatientId, Timestamp,
    testing::{ManualClock, fresh_id},
};

use super::report;
use crate::{Report, ReportFilter, ReportStatus, ReportStore, Source, VerificationCode};

#[macro_export]
macro_rules! report_store_laws {
    ($make:path) => {
        $crate::report_store_laws!(@each $make:
            a_report_is_found_as_it_was_issued
            a_report_is_superseded_when_its_diagnosis_has_a_newer_version
            lists_hold_what_all_of_the_filter_matches
            lists_are_newest_first_and_stable_under_equal_times_and_inserts);
    };
    (@each $make:path: $($law:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $law() {
            let Some((house, _keep)) = $crate::testing::laws::made($make().await) else { return };
            $crate::testing::laws::$law(&house).await;
        })*
    };
}

/// A store under test, with the write paths that belong to others: a store that checks its foreign keys has to have the
/// patient, the account and the diagnosis of a report, and [`ReportHouse::issue`] makes whichever is not there.
#[async_trait]
pub trait ReportHouse: Send + Sync {
    fn reports(&self) -> &dyn ReportStore;

    /// Issues the report. Its diagnosis has at least the version reported, from then on.
    async fn issue(&self, report: &Report);

    /// The diagnosis, of which a report was issued, has this version from now on: one more than before.
    async fn amend(&self, diagnosis: DiagnosisId, version: u32);
}

fn start() -> Timestamp {
    ManualClock::default().now()
}

async fn issued(house: &impl ReportHouse, patient: PatientId, at: Timestamp) -> Report {
    let report = report(patient, fresh_id(), 1, at);
    house.issue(&report).await;
    report
}

pub async fn a_report_is_found_as_it_was_issued(house: &impl ReportHouse) {
    let store = house.reports();
    let longest = "\u{6d5}".repeat(255);
    let names = [None, Some("scan.pdf"), Some("ڕاپۆرتی $where.{} 'x' \\ %_.pdf"), Some(longest.as_str())];
    let mut reports = vec![report(fresh_id(), fresh_id(), 1, start())];
    for name in names {
        let file_name = name.map(|name| FileName::parse(name).expect("a name"));
        reports.push(Report { source: Source::Uploaded { file_name }, ..report(fresh_id(), fresh_id(), 1, start()) });
    }
    for report in &reports {
        house.issue(report).await;
    }
    for report in &reports {
        let by_id = store.find(report.id).await.unwrap().expect("issued");
        assert_eq!((&by_id.report, by_id.status), (report, ReportStatus::Current));
        assert_eq!(store.of_version(report.diagnosis, 1).await.unwrap(), Some(by_id.clone()));
        assert_eq!(store.by_code(&report.code).await.unwrap(), Some(by_id));
    }
    assert_eq!(store.find(fresh_id()).await.unwrap(), None);
    assert_eq!(store.of_version(reports[0].diagnosis, 2).await.unwrap(), None);
    assert_eq!(store.of_version(fresh_id(), 1).await.unwrap(), None);
    assert_eq!(store.by_code(&VerificationCode::from_bytes([7; 16])).await.unwrap(), None);
}

pub async fn a_report_is_superseded_when_its_diagnosis_has_a_newer_version(house: &impl ReportHouse) {
    let store = house.reports();
    let first = issued(house, fresh_id(), start()).await;
    let other = issued(house, first.patient, start()).await;
    house.amend(first.diagnosis, 2).await;
    let status = async |report: &Report| store.find(report.id).await.unwrap().expect("issued").status;
    assert_eq!(status(&first).await, ReportStatus::Superseded);
    assert_eq!(status(&other).await, ReportStatus::Current, "another diagnosis is another matter");
    let second = report(first.patient, first.diagnosis, 2, start());
    house.issue(&second).await;
    assert_eq!((status(&first).await, status(&second).await), (ReportStatus::Superseded, ReportStatus::Current));
    assert_eq!(store.by_code(&first.code).await.unwrap().expect("issued").status, ReportStatus::Superseded);
    assert_eq!(store.of_version(first.diagnosis, 1).await.unwrap().expect("issued").status, ReportStatus::Superseded);
    let filter = ReportFilter { diagnosis: Some(first.diagnosis), ..ReportFilter::default() };
    let both = store.list(&filter, &PageRequest::default()).await.unwrap().items;
    let statuses: Vec<_> = both.iter().map(|view| (view.report.id, view.status)).collect();
    assert_eq!(statuses, [(second.id, ReportStatus::Current), (first.id, ReportStatus::Superseded)]);
}

pub async fn lists_hold_what_all_of_the_filter_matches(house: &impl ReportHouse) {
    let (ada, bob): (PatientId, PatientId) = (fresh_id(), fresh_id());
    let first = issued(house, ada, start()).await;
    let second = issued(house, ada, start()).await;
    let third = issued(house, bob, start()).await;
    let ids = async |patient, diagnosis| -> Vec<_> {
        let filter = ReportFilter { patient, diagnosis, reader: None };
        let page = house.reports().list(&filter, &PageRequest::default()).await.unwrap();
        assert_eq!(page.next, None);
        page.items.iter().map(|view| view.report.id).collect()
    };
    assert_eq!(ids(None, None).await, [third.id, second.id, first.id]);
    assert_eq!(ids(Some(ada), None).await, [second.id, first.id]);
    assert_eq!(ids(None, Some(first.diagnosis)).await, [first.id]);
    assert_eq!(ids(Some(bob), Some(first.diagnosis)).await, []);
    assert_eq!(ids(Some(fresh_id()), None).await, []);
}

pub async fn lists_are_newest_first_and_stable_under_equal_times_and_inserts(house: &impl ReportHouse) {
    let patient = fresh_id();
    let mut expected = Vec::new();
    for minute in [0, 0, 0, 1, 1, 0, 2] {
        let at = Timestamp::from_unix_ms(start().unix_ms() + minute * 60_000);
        let report = issued(house, patient, at).await;
        expected.push((at, report.id));
    }
    expected.sort_by(|a, b| b.cmp(a));
    let filter = ReportFilter { patient: Some(patient), ..ReportFilter::default() };
    let mut request = PageRequest { limit: Limit::new(2).expect("a limit"), after: None };
    let mut found = Vec::new();
    loop {
        let page = house.reports().list(&filter, &request).await.unwrap();
        found.extend(page.items.iter().map(|view| (view.report.issued_at, view.report.id)));
        issued(house, patient, Timestamp::from_unix_ms(start().unix_ms() + 180_000)).await;
        match page.next {
            Some(next) => request.after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, expected, "what came after the first page does not disturb the others");
}
