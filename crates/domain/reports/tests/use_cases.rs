//! Who may do what with reports, and what is left behind.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is a panic")]

use std::{convert::Infallible, sync::Arc};

use bytes::Bytes;
use futures_util::stream;
use infirmary_kernel::{
    AccessError, Action, Caller, Clock, House, Link, LinkTarget, ObjectKey, Objects, Outcome, PageRequest, PatientId,
    Refused, Role, ShortText,
    testing::{
        CountingEntropy, MemoryObjects, TestGate, TestSigner, caller, fresh_id, keep_object, patient_caller,
        read_object,
    },
};
use infirmary_reports::{
    InspectError, MAX_PDF_BYTES, MockPdfInspector, PdfRefusal, Queries, ReceivePdf, ReceivedPdf, Report, ReportError,
    ReportFilter, ReportStatus, Verdict, VerificationCode,
    testing::{MemoryReports, report},
};

#[derive(Default)]
struct Ward {
    gate: TestGate,
    reports: MemoryReports,
    objects: MemoryObjects,
}

impl Ward {
    fn queries(&self) -> Queries {
        Queries {
            gate: self.gate.gate.clone(),
            reports: Arc::new(self.reports.clone()),
            objects: Arc::new(self.objects.clone()),
            signer: Arc::new(TestSigner),
            house: House { name: ShortText::parse("St Mary").unwrap(), address: None },
        }
    }

    async fn issued(&self, patient: PatientId) -> Report {
        let mut report = report(patient, fresh_id(), 1, self.gate.clock.now());
        report.object = keep_object(&self.objects, &report.object.key, b"%PDF-1.7 of a report").await.unwrap();
        self.reports.put(report.clone());
        report
    }

    fn receive(&self, inspector: MockPdfInspector) -> ReceivePdf {
        let (gate, objects) = (self.gate.gate.clone(), Arc::new(self.objects.clone()));
        ReceivePdf { gate, objects, inspector: Arc::new(inspector) }
    }

    fn trail(&self) -> Vec<(Action, Outcome)> {
        self.gate.journal.events().into_iter().map(|event| (event.action, event.outcome)).collect()
    }
}

fn chunks(chunks: &[&'static [u8]]) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> + Send + use<> {
    stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk))).collect::<Vec<_>>())
}

fn pages(pages: usize) -> MockPdfInspector {
    let mut inspector = MockPdfInspector::new();
    inspector.expect_inspect().once().returning(move |_| Ok(pages));
    inspector
}

#[tokio::test]
async fn staff_and_the_patient_read_a_report_and_each_read_is_in_the_trail() {
    let ward = Ward::default();
    let report = ward.issued(fresh_id()).await;
    for reader in [caller(Role::Admin), caller(Role::Doctor), patient_caller(report.patient)] {
        let read = ward.queries().report(&reader, report.id).await.unwrap();
        assert_eq!((read.report, read.status), (report.clone(), ReportStatus::Current));
        let content = ward.queries().pdf(&reader, report.id).await.unwrap().read(Some(5..8)).await.unwrap();
        assert_eq!((content.size, content.range), (20, 5..8));
        let signed = ward.queries().link(&reader, report.id).await.unwrap();
        let link = Link::verify(&signed.token, &TestSigner, ward.gate.clock.now()).unwrap();
        assert_eq!((link.target, link.session), (LinkTarget::Report(report.id), reader.session));
    }
    let each = [Action::REPORT_READ, Action::REPORT_READ, Action::REPORT_LINK].map(|action| (action, Outcome::Done));
    assert_eq!(ward.trail(), std::iter::repeat_n(each, 3).flatten().collect::<Vec<_>>());
    assert!(ward.gate.journal.events().iter().all(|event| event.subject.patient == Some(report.patient)));
}

#[tokio::test]
async fn another_patients_report_is_as_absent_as_one_that_never_was() {
    let ward = Ward::default();
    let report = ward.issued(fresh_id()).await;
    let stranger = patient_caller(fresh_id());
    for id in [report.id, fresh_id()] {
        assert!(matches!(ward.queries().report(&stranger, id).await, Err(ReportError::NotFound)));
        assert!(matches!(ward.queries().pdf(&stranger, id).await, Err(ReportError::NotFound)));
        assert!(matches!(ward.queries().link(&stranger, id).await, Err(ReportError::NotFound)));
    }
    assert_eq!(ward.trail(), vec![(Action::ACCESS_REFUSED, Outcome::Refused); 3], "the trail knows the difference");
}

#[tokio::test]
async fn an_accountant_reads_no_reports() {
    let ward = Ward::default();
    let report = ward.issued(fresh_id()).await;
    let accountant = caller(Role::Accountant);
    let refusals = [
        ward.queries().report(&accountant, report.id).await.unwrap_err(),
        ward.queries().pdf(&accountant, report.id).await.unwrap_err(),
        ward.queries().reports(&accountant, &ReportFilter::default(), &PageRequest::default()).await.unwrap_err(),
    ];
    for refusal in refusals {
        assert!(matches!(refusal, ReportError::Access(AccessError::Refused(Refused::Role { .. }))), "{refusal}");
    }
}

#[tokio::test]
async fn a_patient_finds_their_own_reports_whatever_they_ask_for() {
    let ward = Ward::default();
    let own = ward.issued(fresh_id()).await;
    let others = ward.issued(fresh_id()).await;
    let reader = patient_caller(own.patient);
    let find = async |caller: &Caller, patient, diagnosis| {
        let filter = ReportFilter { patient, diagnosis, reader: None };
        let found = ward.queries().reports(caller, &filter, &PageRequest::default()).await?;
        Ok::<_, ReportError>(found.items.into_iter().map(|view| view.report.id).collect::<Vec<_>>())
    };
    assert_eq!(find(&reader, None, None).await.unwrap(), [own.id]);
    assert_eq!(find(&reader, Some(own.patient), None).await.unwrap(), [own.id]);
    assert_eq!(find(&reader, None, Some(others.diagnosis)).await.unwrap(), []);
    let hidden = find(&reader, Some(others.patient), None).await.unwrap_err();
    assert!(matches!(hidden, ReportError::Access(AccessError::Refused(Refused::Hidden))));
    assert_eq!(find(&caller(Role::Doctor), None, None).await.unwrap(), [others.id, own.id]);
    let without_record = find(&caller(Role::Patient), None, None).await.unwrap_err();
    assert!(matches!(without_record, ReportError::Access(AccessError::Refused(Refused::Hidden))));
}

#[tokio::test]
async fn a_lost_pdf_is_told_and_not_taken_for_an_empty_one() {
    let ward = Ward::default();
    let report = ward.issued(fresh_id()).await;
    ward.objects.delete(&report.object.key).await.unwrap();
    let pdf = ward.queries().pdf(&caller(Role::Doctor), report.id).await.unwrap();
    assert!(matches!(pdf.read(None).await, Err(ReportError::ObjectMissing)));
}

#[tokio::test]
async fn anyone_with_the_code_learns_whether_it_is_authentic_and_current() {
    let ward = Ward::default();
    let report = ward.issued(fresh_id()).await;
    let authentic = |status| Verdict::Authentic {
        house: ShortText::parse("St Mary").unwrap(),
        issued_at: report.issued_at,
        status,
    };
    assert_eq!(ward.queries().verify(&report.code).await.unwrap(), authentic(ReportStatus::Current));
    ward.reports.set_version(report.diagnosis, 2);
    assert_eq!(ward.queries().verify(&report.code).await.unwrap(), authentic(ReportStatus::Superseded));
    let unknown = VerificationCode::draw(&CountingEntropy::starting_at(1 << 60));
    assert_eq!(ward.queries().verify(&unknown).await.unwrap(), Verdict::Unknown);
    assert_eq!(ward.trail(), vec![], "no record of a patient was read");
}

#[tokio::test]
async fn a_pdf_is_received_whole_and_is_nobodys_until_it_is_kept() {
    let ward = Ward::default();
    let parts: &[&[u8]] = &[b"%P", b"DF", b"", b"-1.7 whole"];
    let name = Some("C:\\scans\\ڕاپۆرت.pdf");
    let received: ReceivedPdf = ward.receive(pages(3)).run(&caller(Role::Doctor), name, chunks(parts)).await.unwrap();
    assert_eq!((received.pages, received.file_name.as_ref().map(|name| name.as_str())), (3, Some("ڕاپۆرت.pdf")));
    assert_eq!(ward.objects.keys(), []);
    let key = ObjectKey::report(fresh_id());
    received.staged.keep(&key).await.unwrap();
    assert_eq!(read_object(&ward.objects, &key).await.unwrap(), b"%PDF-1.7 whole");
}

#[tokio::test]
async fn who_may_not_issue_reports_is_turned_away_before_the_first_byte() {
    let ward = Ward::default();
    for role in [Role::Admin, Role::Accountant, Role::Patient] {
        let untouched = stream::poll_fn(|_| -> std::task::Poll<Option<Result<Bytes, Infallible>>> {
            panic!("a byte was asked for")
        });
        let refused = ward.receive(MockPdfInspector::new()).run(&caller(role), None, untouched).await;
        assert!(matches!(refused, Err(ReportError::Access(AccessError::Refused(Refused::Role { .. })))));
    }
}

#[tokio::test]
async fn what_is_no_pdf_is_refused_at_its_first_bytes() {
    let ward = Ward::default();
    for head in [&b"PK\x03\x04"[..], b"<html>", b"\n%PDF-1.7", b"%PDX"] {
        let first = stream::iter([Ok::<_, Infallible>(Bytes::from_static(head))]);
        let rest = stream::poll_fn(|_| panic!("more was asked for"));
        let refused = ward
            .receive(MockPdfInspector::new())
            .run(&caller(Role::Doctor), None, futures_util::StreamExt::chain(first, rest))
            .await;
        assert!(matches!(refused, Err(ReportError::Refused(PdfRefusal::NotPdf))), "{refused:?}");
    }
}

#[tokio::test]
async fn a_pdf_above_the_limit_is_refused_when_the_limit_is_passed() {
    let ward = Ward::default();
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let endless = stream::iter(std::iter::once(Bytes::from_static(b"%PDF-")).chain(std::iter::repeat(chunk)));
    let endless = futures_util::StreamExt::map(endless, Ok::<_, Infallible>);
    let refused = ward.receive(MockPdfInspector::new()).run(&caller(Role::Doctor), None, endless).await;
    assert!(matches!(refused, Err(ReportError::Refused(PdfRefusal::TooLarge))));
    let most = stream::iter([Ok::<_, Infallible>(Bytes::from(
        [b"%PDF-", &vec![b' '; MAX_PDF_BYTES as usize - 5][..]].concat(),
    ))]);
    assert!(ward.receive(pages(1)).run(&caller(Role::Doctor), None, most).await.is_ok());
}

#[tokio::test]
async fn a_refusal_and_a_broken_upload_leave_nothing() {
    let ward = Ward::default();
    let mut inspector = MockPdfInspector::new();
    inspector.expect_inspect().once().returning(|_| Err(InspectError::Refused(PdfRefusal::Active)));
    let parts: &[&[u8]] = &[b"%PDF-1.7 with a script"];
    let refused = ward.receive(inspector).run(&caller(Role::Doctor), None, chunks(parts)).await;
    assert!(matches!(refused, Err(ReportError::Refused(PdfRefusal::Active))));
    let broken = stream::iter([Ok(Bytes::from_static(b"%PDF-")), Err("the client went away")]);
    let broken = ward.receive(MockPdfInspector::new()).run(&caller(Role::Doctor), None, broken).await;
    assert!(matches!(broken, Err(ReportError::BrokenUpload { .. })));
    assert_eq!(ward.objects.keys(), []);
}
