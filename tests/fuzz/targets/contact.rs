//! Phones, e-mail addresses and names, as people write them.

use infirmary_kernel::{EmailAddress, FileName, NamePart, PersonName, PhoneNumber, TaskCode, fold, search_words};

use crate::harness::Target;

pub const TARGET: Target = Target {
    name: "contact",
    run,
    seeds,
    words: &[
        b"+964",
        b"00",
        b"@example.org",
        b"\"",
        b".",
        b"..",
        "٠٧٥٠".as_bytes(),
        "۱۲۳".as_bytes(),
        "\u{202e}".as_bytes(),
        "\u{200c}".as_bytes(),
        "\u{640}".as_bytes(),
        "e\u{301}".as_bytes(),
        "ﷺ".as_bytes(),
        "İ".as_bytes(),
        "ß".as_bytes(),
        "\u{fb01}".as_bytes(),
        "１２".as_bytes(),
        b"xn--",
    ],
    max_bytes: 1_024,
    max_mib: 1,
    changes: 2_000,
};

fn run(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return "not text".to_owned() };
    let mut outcome = Vec::new();
    if let Ok(phone) = PhoneNumber::parse(text) {
        let digits = phone.digits();
        assert!((8..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
        assert_eq!(PhoneNumber::parse(phone.as_str()).unwrap(), phone);
        assert_eq!(PhoneNumber::parse(&format!("00{digits}")).unwrap(), phone);
        outcome.push("a phone");
    }
    if let Ok(email) = EmailAddress::parse(text) {
        let address = email.as_str();
        assert_eq!(EmailAddress::parse(address).unwrap(), email, "an address has one form");
        assert!(address.chars().count() <= EmailAddress::MAX_CODE_POINTS && address.matches('@').count() == 1);
        assert!(!address.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '<' | '>' | '"' | ',')));
        outcome.push(if address.is_ascii() { "an address" } else { "an address of other letters" });
    }
    if let Ok(name) = PersonName::parse(text) {
        assert_eq!(PersonName::parse(name.as_str()).unwrap(), name, "a name has one form");
        assert!(!name.as_str().chars().any(char::is_control));
        if let Ok(part) = NamePart::parse(text) {
            assert!(part.is_in(&name), "a name is found by itself");
        }
        outcome.push("a name");
    }
    if let Some(name) = FileName::of_upload(text) {
        assert_eq!(FileName::of_upload(name.as_str()).as_ref(), Some(&name), "the name of a file has one form");
        assert!(!name.as_str().contains(['/', '\\', '\n', '\u{202e}']));
        outcome.push("the name of a file");
    }
    if let Ok(code) = TaskCode::parse(text) {
        assert_eq!(TaskCode::parse(code.as_str()).unwrap(), code);
        outcome.push("a code");
    }
    let folded = fold(text);
    assert_eq!(fold(&folded), folded, "what is folded stays as it is");
    for word in search_words(text) {
        assert_eq!(search_words(&word), [word.as_str()], "a word is found by itself");
    }
    if outcome.is_empty() { "nothing".to_owned() } else { outcome.join(" and ") }
}

fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        "+964 750 123 4567",
        "٠٠٩٦٤٧٥٠١٢٣٤٥٦٧",
        "\u{200e}+964 (750) 123.4567",
        "Ada.Lovelace+house@Example.ORG",
        "ئازاد@نموونە.کورد",
        "José Müller-Lopez",
        "ڕێبین عەلی",
        "أَحْمَد",
        "C:\\scans\\thorax.png",
        "XR-CHEST",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
