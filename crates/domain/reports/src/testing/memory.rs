use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use infirmary_kernel::{
    DiagnosisId, Page, PageRequest, ReportId, StoreError,
    testing::{MemoryConfidentiality, locked},
};

use super::laws::ReportHouse;
use crate::{Report, ReportFilter, ReportStore, ReportView, VerificationCode};

/// Reports in memory, with the versions that their diagnoses have. Clones are the same memory.
#[derive(Clone, Default)]
pub struct MemoryReports {
    rows: Arc<Mutex<Rows>>,
    pub confidentiality: MemoryConfidentiality,
}

#[derive(Default)]
struct Rows {
    reports: BTreeMap<ReportId, Report>,
    versions: BTreeMap<DiagnosisId, u32>,
}

impl Rows {
    fn view(&self, report: &Report) -> ReportView {
        let version = self.versions.get(&report.diagnosis).copied().unwrap_or(report.diagnosis_version);
        ReportView::new(report.clone(), version)
    }

    fn first(&self, matches: impl Fn(&Report) -> bool) -> Option<ReportView> {
        self.reports.values().find(|report| matches(report)).map(|report| self.view(report))
    }
}

impl MemoryReports {
    pub fn put(&self, report: Report) {
        let mut rows = locked(&self.rows);
        let version = rows.versions.entry(report.diagnosis).or_default();
        *version = report.diagnosis_version.max(*version);
        rows.reports.insert(report.id, report);
    }

    pub fn set_version(&self, diagnosis: DiagnosisId, version: u32) {
        locked(&self.rows).versions.insert(diagnosis, version);
    }
}

#[async_trait]
impl ReportStore for MemoryReports {
    async fn find(&self, id: ReportId) -> Result<Option<ReportView>, StoreError> {
        Ok(locked(&self.rows).first(|report| report.id == id))
    }

    async fn of_version(&self, diagnosis: DiagnosisId, version: u32) -> Result<Option<ReportView>, StoreError> {
        Ok(locked(&self.rows).first(|report| report.diagnosis == diagnosis && report.diagnosis_version == version))
    }

    async fn list(&self, filter: &ReportFilter, page: &PageRequest) -> Result<Page<ReportView>, StoreError> {
        let after = page.after_time().unwrap_or_default();
        let rows = locked(&self.rows);
        let mut found: Vec<&Report> = rows
            .reports
            .values()
            .filter(|report| filter.patient.is_none_or(|patient| report.patient == patient))
            .filter(|report| filter.diagnosis.is_none_or(|diagnosis| report.diagnosis == diagnosis))
            .filter(|report| self.confidentiality.shows(report.patient, filter.reader))
            .filter(|report| after.is_none_or(|after| (report.issued_at, report.id.as_uuid()) < after))
            .collect();
        found.sort_by_key(|report| std::cmp::Reverse((report.issued_at, report.id)));
        found.truncate(page.limit.get() + 1);
        let views = found.into_iter().map(|report| rows.view(report)).collect();
        Ok(Page::of_rows(views, page.limit, ReportView::cursor))
    }

    async fn by_code(&self, code: &VerificationCode) -> Result<Option<ReportView>, StoreError> {
        Ok(locked(&self.rows).first(|report| report.code == *code))
    }
}

#[async_trait]
impl ReportHouse for MemoryReports {
    fn reports(&self) -> &dyn ReportStore {
        self
    }

    async fn issue(&self, report: &Report) {
        self.put(report.clone());
    }

    async fn amend(&self, diagnosis: DiagnosisId, version: u32) {
        self.set_version(diagnosis, version);
    }
}
