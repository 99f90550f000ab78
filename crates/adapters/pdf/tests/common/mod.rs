//! Sheets to set, for the tests and for `examples/samples.rs`.

#![allow(dead_code, reason = "not every test needs every sheet")]

use std::io::Cursor;

use bytes::Bytes;
use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};
use infirmary_financials::{ReceiptSheet, SheetAllocation, SheetEntry, SheetTotals, StatementSheet};
use infirmary_kernel::{
    Currency, Entropy, House, LongText, Money, PaymentId, PersonName, PostalAddress, ReportId, SheetPatient, ShortText,
    Timestamp, testing::CountingEntropy,
};
use infirmary_reports::{
    ReportSheet, SheetAmendment, SheetImage, SheetSigner, SheetStudy, SheetSubject, VerificationCode,
};

pub fn time(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

pub fn short(text: &str) -> ShortText {
    ShortText::parse(text).expect("a short text")
}

pub fn long(text: &str) -> LongText {
    LongText::parse(text).expect("a long text")
}

pub fn name(text: &str) -> PersonName {
    PersonName::parse(text).expect("a name")
}

pub fn house() -> House {
    House {
        name: short("St Mary’s Hospital"),
        address: PostalAddress::parse(
            "12 Harbour Road, Bristol BS1 5DL\n+44 117 496 0123 · imaging@stmary.example.org",
        )
        .ok(),
    }
}

/// A grey picture with the grain of a radiograph: it compresses as badly as a real one.
pub fn preview(width: u32, height: u32, seed: u64) -> Bytes {
    let mut grain = vec![0; (width * height) as usize];
    CountingEntropy::starting_at(seed << 32).fill(&mut grain);
    let (middle_x, middle_y) = (width as f32 / 2.0, height as f32 / 2.0);
    let pixels: Vec<u8> = grain
        .iter()
        .enumerate()
        .map(|(place, grain)| {
            let (x, y) = ((place as u32 % width) as f32 - middle_x, (place as u32 / width) as f32 - middle_y);
            let distance = ((x / middle_x).powi(2) + (y / middle_y).powi(2)).sqrt();
            let bone = (-((distance - 0.62 - seed as f32 * 0.03) * 9.0).powi(2)).exp();
            let tissue = (1.0 - distance).max(0.0) * 0.35;
            ((bone + tissue) * 215.0 + f32::from(grain % 24)) as u8
        })
        .collect();
    let mut png = Vec::new();
    PngEncoder::new(Cursor::new(&mut png))
        .write_image(&pixels, width, height, ExtendedColorType::L8)
        .expect("a picture");
    png.into()
}

pub fn images(count: usize) -> Vec<SheetImage> {
    let captions = ["Chest, posteroanterior", "Chest, lateral", "Left hand", "Axial, level of the orbits"];
    (0..count)
        .map(|place| {
            let (width, height) = [(512, 512), (400, 512), (512, 340)][place % 3];
            SheetImage {
                caption: captions[place % captions.len()].into(),
                preview: Some(preview(width, height, place as u64)),
            }
        })
        .collect()
}

/// A report in English, first version, with so many images.
pub fn report(image_count: usize) -> ReportSheet {
    let code = VerificationCode::draw(&CountingEntropy::starting_at(0));
    ReportSheet {
        report: ReportId::parse("0198c1f0-7c3e-7d0a-9c55-3f1d2b6a4e10").expect("an id"),
        issued_at: time("2026-03-01T10:12:00Z"),
        house: house(),
        subject: SheetSubject {
            patient: SheetPatient { name: name("Ada Katherine Lovelace"), mrn: "P00004175".into() },
            birth_date: "1984-02-29".parse().ok(),
            sex: Some("female".into()),
        },
        study: Some(SheetStudy { modality: "CT".into(), at: time("2026-03-01T08:40:00Z") }),
        tasks: vec!["CT of the chest with contrast".into(), "Three-dimensional reconstruction".into()],
        images: images(image_count),
        images_left_out: 0,
        disease: short("Community-acquired pneumonia, right lower lobe"),
        findings: long(
            "Consolidation in the posterior basal segment of the right lower lobe, 34 × 28 mm, with air bronchograms. \
             No cavitation. A small right-sided pleural effusion, depth 9 mm.\n\
             Heart size is normal. No enlarged mediastinal lymph nodes (all ≤ 8 mm in short axis). The left lung is \
             clear.\n\n\
             Compared with the radiograph of 24 February 2026 the consolidation is new.",
        ),
        conditions: long("Type 2 diabetes. Allergy to penicillin.\nFollow-up radiograph in 6 weeks."),
        author: SheetSigner { name: name("Dr Grace Hopper"), at: time("2026-03-01T09:30:00Z") },
        confirmed_by: SheetSigner { name: name("Dr Alan Turing"), at: time("2026-03-01T10:05:00Z") },
        version: 1,
        amendment: None,
        code,
        verification_url: format!("https://reports.stmary.example.org/verify/{code}"),
    }
}

pub fn kurdish(image_count: usize) -> ReportSheet {
    let mut sheet = report(image_count);
    sheet.house.name = short("نەخۆشخانەی ڕزگاری");
    sheet.house.address = PostalAddress::parse("شەقامی ٦٠ مەتری، هەولێر\n+964 66 222 3344").ok();
    sheet.subject.patient.name = name("ڕێبین ئازاد گەردی");
    sheet.disease = short("شکستنی ئێسکی ڕانی چەپ");
    sheet.findings = long(
        "لە وێنەی تیشکی دەرکەوت کە شکستنێکی داخراو لە ناوەڕاستی ئێسکی ڕانی چەپدا هەیە، بە لادانی نزیکەی 12 mm. \
         جومگەی ئەژنۆ و کەمۆکە ئاسایین.\n\
         هیچ نیشانەیەکی هەوکردن یان وەرەم نەبینرا. پێشنیار دەکرێت تیشکی CT بۆ دڵنیابوون بکرێت.\n\n\
         بڕوانە ڕاپۆرتی پێشوو (2026-02-24).",
    );
    sheet.conditions = long("نەخۆشی شەکرە، جۆری ٢. هەستیاری بە پەنسلین.");
    sheet.author.name = name("د. ژیان قادر چەلەبی");
    sheet.confirmed_by.name = name("د. هێمن ڤیان پیرۆت");
    sheet.version = 2;
    sheet.amendment = Some(SheetAmendment {
        reason: short("لای ڕاست بە هەڵە نووسرابوو؛ ڕاستکرایەوە بۆ چەپ"),
        at: time("2026-03-01T10:00:00Z"),
    });
    sheet
}

pub fn arabic(image_count: usize) -> ReportSheet {
    let mut sheet = report(image_count);
    sheet.house.name = short("مستشفى الرافدين التعليمي");
    sheet.house.address = PostalAddress::parse("شارع فلسطين، بغداد\n+964 1 717 0000").ok();
    sheet.subject.patient.name = name("فاطمة الزهراء عبد الرحمن");
    sheet.disease = short("التهاب رئوي في الفص السفلي الأيمن");
    sheet.findings = long(
        "أظهر التصوير المقطعي (CT) تصلّباً في القطعة القاعدية الخلفية للفص السفلي الأيمن بقياس 34 × 28 mm مع علامة \
         القصبات الهوائية. لا يوجد تجويف.\n\
         حجم القلب طبيعي، ولا توجد عقد لمفاوية متضخمة (≤ 8 mm). الرئة اليسرى سليمة.\n\
         Compared with the study of 24 February: جديد.\n\
         المقارنة مع دراسة Dr Turing بتاريخ ٢٤ شباط ٢٠٢٦: الآفة جديدة.",
    );
    sheet.conditions = long("داء السكري من النوع الثاني. حساسية من البنسلين.");
    sheet.author.name = name("د. أحمد علي الجبوري");
    sheet.confirmed_by.name = name("Dr Alan Turing");
    sheet
}

/// Texts that would be markup, were they read as such.
pub const HOSTILE: &str =
    r##"#read("x") *_$\ `raw` [x](y) <a@b> = Head // c /* d */ #{1+1} \u{41} @ref https://e.org ~ -- '"' "##;

pub fn pounds(minor: i64) -> Money {
    Money::new(minor, Currency::GBP)
}

pub fn receipt() -> ReceiptSheet {
    let allocation = |description: &str, amount| SheetAllocation {
        charged_at: time("2026-03-01T08:45:00Z"),
        description: description.into(),
        amount: pounds(amount),
    };
    ReceiptSheet {
        house: house(),
        payment: PaymentId::parse("0198c1f0-8a11-7bb2-8f00-0c2d4e6f8a90").expect("an id"),
        patient: SheetPatient { name: name("ڕێبین ئازاد گەردی"), mrn: "P00004175".into() },
        received_at: time("2026-03-02T11:20:00Z"),
        method: "Card".into(),
        amount: pounds(130_000),
        allocations: vec![
            allocation("CT of the chest with contrast", 29_900),
            allocation("ڕاپۆرتی تیشک", 5_000),
            allocation(
                "MR of the left knee, without contrast, with a second opinion from the visiting consultant",
                95_100,
            ),
        ],
        refunded: pounds(5_000),
        balance: pounds(24_900),
        issued_at: time("2026-03-02T11:21:00Z"),
    }
}

pub fn statement(entries: usize) -> StatementSheet {
    let (mut balance, mut charged, mut paid) = (0, 0, 0);
    let entries = (0..entries)
        .map(|place| {
            let (change, description) = match place % 3 {
                0 => (29_900, "CT of the chest"),
                1 => (5_000, "ڕاپۆرتی تیشک"),
                _ => (-34_900, "Payment, card"),
            };
            balance += change;
            charged += change.max(0);
            paid += (-change).max(0);
            SheetEntry {
                at: time(&format!("2026-0{}-{:02}T09:00:00Z", 1 + place / 28 % 9, 1 + place % 28)),
                description: description.into(),
                change: pounds(change),
                balance: pounds(balance),
            }
        })
        .collect();
    StatementSheet {
        house: house(),
        patient: SheetPatient { name: name("Ada Katherine Lovelace"), mrn: "P00004175".into() },
        entries,
        totals: SheetTotals {
            charged: pounds(charged),
            voided: pounds(0),
            paid: pounds(paid),
            refunded: pounds(0),
            balance: pounds(balance),
        },
        issued_at: time("2026-03-02T11:21:00Z"),
    }
}
