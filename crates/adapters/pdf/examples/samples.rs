//! Sets the sample sheets into a folder, to be looked at, and tells what each took:
//! `cargo run --release -p infirmary-pdf --example samples -- FOLDER`

#[path = "../tests/common/mod.rs"]
mod common;

use std::{path::PathBuf, time::Instant};

use infirmary_financials::ReceiptTypesetter;
use infirmary_kernel::LongText;
use infirmary_pdf::TypstPress;
use infirmary_reports::Typesetter;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = PathBuf::from(std::env::args().nth(1).ok_or("give a folder")?);
    std::fs::create_dir_all(&folder)?;
    let press = TypstPress::default();
    println!("before the first document: {}", resident());
    let mut endless = common::report(3);
    endless.findings = LongText::parse(&"No abnormality of the liver, spleen or pancreas is seen. ".repeat(340))?;
    let mut mixed = common::kurdish(2);
    mixed.findings = common::long(&format!("{}\n{}", common::report(0).findings.as_str(), mixed.findings.as_str()));
    mixed.images[1].preview = None;
    mixed.images_left_out = 12;
    mixed.subject.patient.name = common::name("李小龍 Bruce");
    let sheets = [
        ("latin-0", common::report(0)),
        ("latin-1", common::report(1)),
        ("latin-3", common::report(3)),
        ("latin-7", common::report(7)),
        ("kurdish-3", common::kurdish(3)),
        ("arabic-1", common::arabic(1)),
        ("mixed-2", mixed),
        ("endless-3", endless),
        ("latin-24", common::report(24)),
    ];
    for (name, sheet) in sheets {
        let begin = Instant::now();
        let pdf = press.report(sheet).await?;
        println!("{name}: {} ms, {} KiB, {}", begin.elapsed().as_millis(), pdf.len() / 1024, resident());
        std::fs::write(folder.join(name).with_extension("pdf"), pdf)?;
    }
    std::fs::write(folder.join("receipt.pdf"), press.receipt(common::receipt()).await?)?;
    std::fs::write(folder.join("statement-20.pdf"), press.statement(common::statement(20)).await?)?;
    std::fs::write(folder.join("statement-100.pdf"), press.statement(common::statement(100)).await?)?;
    let sheet = common::report(3);
    let begin = Instant::now();
    for _ in 0..20 {
        press.report(sheet.clone()).await?;
    }
    println!("20 reports of 3 images: {} ms each, {}", begin.elapsed().as_millis() / 20, resident());
    Ok(())
}

/// Resident memory now and at its highest, as Linux tells it.
fn resident() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let lines = status.lines().filter(|line| line.starts_with("VmRSS") || line.starts_with("VmHWM"));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join(", ")
}
