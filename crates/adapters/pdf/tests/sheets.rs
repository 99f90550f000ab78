//! What comes out of the press.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on is a panic")]

use bytes::Bytes;
use infirmary_financials::ReceiptTypesetter;
use infirmary_kernel::{LongText, PersonName, PostalAddress, ShortText, TypesetError};
use infirmary_pdf::TypstPress;
use infirmary_reports::{ReportSheet, SheetImage, Typesetter};
use lopdf::Document;
use proptest::{prelude::*, test_runner::TestRunner};

mod common;

async fn set(sheet: ReportSheet) -> Vec<u8> {
    TypstPress::default().report(sheet).await.unwrap()
}

/// The text of each page, its white space made single spaces, without the places where a long word may break.
fn pages(pdf: &[u8]) -> Vec<String> {
    let document = Document::load_mem(pdf).unwrap();
    let numbers: Vec<u32> = document.get_pages().into_keys().collect();
    let page = |number| {
        let text = document.extract_text(&[number]).unwrap().replace('\u{200b}', "");
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    numbers.into_iter().map(page).collect()
}

fn squeezed(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

fn holds(pdf: &[u8], text: &str) -> bool {
    squeezed(&pages(pdf).concat()).contains(&squeezed(text))
}

#[tokio::test]
async fn a_report_says_what_its_sheet_says() {
    let sheet = common::report(3);
    let pdf = set(sheet.clone()).await;
    for text in [
        "St Mary’s Hospital",
        "12 Harbour Road, Bristol BS1 5DL",
        "Ada Katherine Lovelace",
        "P00004175",
        "29 February 1984",
        "Female",
        "Computed tomography (CT)",
        "1 March 2026, 08:40 UTC",
        "Three-dimensional reconstruction",
        "Chest, lateral",
        sheet.disease.as_str(),
        "No cavitation.",
        "(all ≤ 8 mm in short axis)",
        "Follow-up radiograph in 6 weeks.",
        "Dr Grace Hopper",
        "Dr Alan Turing",
        "1 March 2026, 10:05 UTC",
        "Version 1",
        "Issued 1 March 2026, 10:12 UTC",
        "0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10",
        &sheet.verification_url,
    ] {
        assert!(holds(&pdf, text), "{text}");
    }
    assert!(!holds(&pdf, "Amended"));
    let amended = set(common::kurdish(0)).await;
    assert!(holds(&amended, "Amended · Version 2"));
}

#[tokio::test]
async fn every_page_names_the_patient_and_its_place() {
    let mut sheet = common::report(7);
    sheet.findings = common::long(&"The liver is of normal size and echo. ".repeat(200));
    let pages = pages(&set(sheet).await);
    assert!(pages.len() >= 3, "{}", pages.len());
    for (place, page) in pages.iter().enumerate() {
        let page = squeezed(page);
        assert!(page.contains("P00004175"));
        assert!(page.contains(&format!("Page{}of{}", place + 1, pages.len())), "{page}");
        assert!(page.contains("AdaKatherineLovelace"));
    }
}

#[tokio::test]
async fn no_text_is_taken_for_markup() {
    let mut sheet = common::report(1);
    let hostile = common::HOSTILE;
    sheet.house.name = common::short(hostile);
    sheet.house.address = PostalAddress::parse(hostile).ok();
    sheet.subject.patient.name = common::name(hostile);
    sheet.subject.patient.mrn = hostile.into();
    sheet.subject.sex = Some(hostile.into());
    sheet.tasks = vec![hostile.into()];
    sheet.disease = common::short(hostile);
    sheet.findings = common::long(hostile);
    sheet.conditions = common::long(hostile);
    sheet.author.name = common::name(hostile);
    sheet.confirmed_by.name = common::name(hostile);
    sheet.images[0].caption = hostile.into();
    let pdf = set(sheet).await;
    let text = squeezed(&pages(&pdf).concat());
    // Head, patient, number (twice: facts and foot), sex, task, disease, findings, conditions, author, confirmer, caption.
    assert!(text.matches(&squeezed(hostile)).count() >= 12, "{text}");
}

#[tokio::test]
async fn the_same_sheet_gives_the_same_bytes_also_side_by_side() {
    let press = TypstPress::default();
    let (first, other, again) = tokio::join!(
        press.report(common::kurdish(2)),
        press.report(common::arabic(1)),
        press.report(common::kurdish(2)),
    );
    let first = first.unwrap();
    assert!(first == again.unwrap());
    assert!(first != other.unwrap());
    assert!(first == set(common::kurdish(2)).await);
    assert!(press.receipt(common::receipt()).await.unwrap() == press.receipt(common::receipt()).await.unwrap());
}

#[tokio::test]
async fn a_document_can_be_kept_and_read_aloud() {
    let press = TypstPress::default();
    let documents = [
        press.report(common::kurdish(2)).await.unwrap(),
        press.receipt(common::receipt()).await.unwrap(),
        press.statement(common::statement(3)).await.unwrap(),
    ];
    for pdf in documents {
        let text = String::from_utf8_lossy(&pdf);
        assert!(text.contains("pdfaid:part>2<") && text.contains("pdfaid:conformance>A<"), "PDF/A-2a");
        assert!(text.contains("pdfuaid:part>1<"), "PDF/UA-1");
        let document = Document::load_mem(&pdf).unwrap();
        assert!(document.catalog().unwrap().has(b"StructTreeRoot"));
    }
}

#[tokio::test]
async fn what_cannot_be_shown_is_marked_and_told() {
    let told = "stands for a character that could not be printed";
    let mut sheet = common::report(0);
    assert!(!holds(&set(sheet.clone()).await, told));
    sheet.subject.patient.name = common::name("李 Ada");
    let pdf = set(sheet).await;
    assert!(holds(&pdf, told) && holds(&pdf, "□ Ada"));
}

#[tokio::test]
async fn an_image_without_preview_says_so_and_a_broken_one_is_an_error() {
    let mut sheet = common::report(2);
    sheet.images[1].preview = None;
    sheet.images_left_out = 12;
    let pdf = set(sheet.clone()).await;
    assert!(holds(&pdf, "No preview.") && holds(&pdf, "12 more in the record."));
    sheet.images[1].preview = Some(Bytes::from_static(b"\x89PNG\r\n\x1a\nnot"));
    let refused = TypstPress::default().report(sheet).await;
    assert!(matches!(refused, Err(TypesetError::Failed { .. })), "{refused:?}");
}

#[tokio::test]
async fn any_number_of_images_finds_its_place() {
    let picture = common::preview(64, 48, 1);
    for count in [0, 1, 2, 4, 8, ReportSheet::MAX_IMAGES + 6] {
        let mut sheet = common::report(0);
        sheet.images =
            (0..count).map(|n| SheetImage { caption: format!("View {n}."), preview: Some(picture.clone()) }).collect();
        let pdf = set(sheet).await;
        for shown in 0..count.min(ReportSheet::MAX_IMAGES) {
            assert!(holds(&pdf, &format!("View {shown}.")), "{shown} of {count}");
        }
        assert_eq!(holds(&pdf, "6 more in the record."), count > ReportSheet::MAX_IMAGES);
    }
}

#[tokio::test]
async fn a_receipt_and_a_statement_say_what_their_sheets_say() {
    let press = TypstPress::default();
    let receipt = press.receipt(common::receipt()).await.unwrap();
    for text in [
        "0198c1f0-8a11-7bb2-8f00-0c2d4e6f8a90",
        "2 March 2026, 11:20 UTC",
        "Card",
        "1,300.00 GBP",
        "CT of the chest with contrast 299.00 GBP",
        "Refunded since 50.00 GBP",
        "Kept 1,250.00 GBP",
        "Balance owed 249.00 GBP",
    ] {
        assert!(holds(&receipt, text), "{text}");
    }
    let statement = press.statement(common::statement(80)).await.unwrap();
    let pages = pages(&statement);
    assert!(pages.len() > 1);
    for page in &pages {
        assert!(page.contains("P00004175") && (page.contains("Description") || page == pages.last().unwrap()));
    }
    for text in ["Payment, card 349.00", "Charged 9,423.00 GBP", "Paid 9,074.00 GBP", "Balance owed 349.00 GBP"] {
        assert!(holds(&statement, text), "{text}");
    }
    let nothing = press.statement(common::statement(0)).await.unwrap();
    assert!(holds(&nothing, "Nothing was charged or paid."));
}

/// Whatever people write, the report can be set, and it is a document that may be kept.
#[test]
fn any_text_can_be_set() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let press = TypstPress::default();
    let mut runner =
        TestRunner::new(ProptestConfig { failure_persistence: None, cases: 24, ..ProptestConfig::default() });
    let scripts =
        "[\\PC\u{600}-\u{6ff}\u{200b}-\u{200f}\u{202a}-\u{202e}\u{2066}-\u{2069}\u{e000}\u{fe0f}\u{1f600}]{1,60}";
    runner
        .run(&(scripts, "(?s).{0,300}", any::<bool>()), |(line, prose, amended)| {
            let mut sheet = if amended { common::kurdish(0) } else { common::report(0) };
            if let Ok(name) = PersonName::parse(&line) {
                sheet.subject.patient.name = name;
            }
            if let Ok(disease) = ShortText::parse(&line) {
                sheet.disease = disease;
            }
            if let Ok(findings) = LongText::parse(&prose) {
                sheet.findings = findings;
            }
            let set = runtime.block_on(press.report(sheet));
            prop_assert!(set.is_ok(), "{set:?}");
            Ok(())
        })
        .unwrap();
}
