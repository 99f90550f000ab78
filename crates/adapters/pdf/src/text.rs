//! Texts of people, made ready to be set: each paragraph with its own direction and language.

use serde::Serialize;
use unicode_bidi::{Direction, get_base_direction};

use crate::press::has_glyph;

/// One paragraph.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Run {
    pub(crate) text: String,
    pub(crate) rtl: bool,
    /// ISO 639, for what reads the document aloud.
    pub(crate) lang: &'static str,
    /// An empty line stood before it.
    pub(crate) gap: bool,
}

/// Stands for a character that no font has.
const MISSING: char = '\u{25a1}';

/// Longer words get places where a line may break: nothing runs off the paper.
const MAX_WORD_CHARS: usize = 36;
const ZERO_WIDTH_SPACE: char = '\u{200b}';

/// Makes texts ready, and remembers whether any held a character that cannot be shown.
#[derive(Default)]
pub(crate) struct Texts {
    pub(crate) any_missing: bool,
}

impl Texts {
    /// A text of one line, whatever line breaks it holds.
    pub(crate) fn line(&mut self, text: &str) -> Run {
        let one_line: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        self.run(&one_line.join(" "), false)
    }

    /// A paragraph for each line. Empty lines become space between paragraphs.
    pub(crate) fn paragraphs(&mut self, text: &str) -> Vec<Run> {
        let mut runs = Vec::new();
        let mut gap = false;
        for line in text.split(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']) {
            if line.trim().is_empty() {
                gap = true;
            } else {
                runs.push(self.run(line.trim_end(), gap && !runs.is_empty()));
                gap = false;
            }
        }
        runs
    }

    fn run(&mut self, text: &str, gap: bool) -> Run {
        let text = self.printable(text);
        let rtl = get_base_direction(text.as_str()) == Direction::Rtl;
        let lang = if rtl { language(&text) } else { "en" };
        Run { text, rtl, lang, gap }
    }

    fn printable(&mut self, text: &str) -> String {
        let mut printable = String::with_capacity(text.len());
        let mut word_chars = 0;
        for c in text.chars() {
            let c = match c {
                '\t' => ' ',
                c if c.is_control() => continue,
                // Overrides turn letters around that have a direction of their own: a number could be read backwards.
                '\u{202d}' | '\u{202e}' => continue,
                // Invisible, and without a place in a document that is kept: byte order mark, interlinear annotation,
                // variation selectors, tags.
                '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0000}'..='\u{e0fff}' => continue,
                c if is_invisible_format(c) => c,
                // A font may have something there, but nobody else knows what.
                '\u{e000}'..='\u{f8ff}' => MISSING,
                c if c.is_whitespace() && !has_glyph(c) => ' ',
                c if has_glyph(c) => c,
                _ => MISSING,
            };
            self.any_missing |= c == MISSING;
            word_chars = if c.is_whitespace() { 0 } else { word_chars + 1 };
            if word_chars > MAX_WORD_CHARS {
                printable.push(ZERO_WIDTH_SPACE);
                word_chars = 1;
            }
            printable.push(c);
        }
        printable
    }
}

/// Joiners, marks of direction, isolates and embeddings, word joiner, soft hyphen: they say how to set their neighbours.
fn is_invisible_format(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202c}'
            | '\u{2060}'
            | '\u{2066}'..='\u{2069}'
    )
}

/// By letters that the other languages of the script do not use.
fn language(text: &str) -> &'static str {
    if text.contains(['ێ', 'ۆ', 'ڕ', 'ڵ', 'ڤ', 'ە']) {
        "ckb"
    } else if text.contains(['ٹ', 'ڈ', 'ڑ', 'ے', 'ں']) {
        "ur"
    } else if text.contains(['پ', 'چ', 'ژ', 'گ', 'ک', 'ی']) {
        "fa"
    } else if text.chars().any(|c| matches!(c, '\u{590}'..='\u{5ff}')) {
        "he"
    } else {
        "ar"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Run {
        Texts::default().line(text)
    }

    #[test]
    fn a_paragraph_runs_in_the_direction_of_its_first_strong_character() {
        let directions = [
            ("Fracture", false, "en"),
            ("كسر في القصبة", true, "ar"),
            ("شکستنی ئێسک", true, "ckb"),
            ("شکستگی استخوان", true, "fa"),
            ("ہڈی کا ٹوٹنا", true, "ur"),
            ("שבר", true, "he"),
            ("12 mm كسر", false, "en"),
            ("(12) كسر, 12 mm", true, "ar"),
            ("12", false, "en"),
            ("", false, "en"),
        ];
        for (text, rtl, lang) in directions {
            let run = line(text);
            assert_eq!((run.text.as_str(), run.rtl, run.lang), (text, rtl, lang), "{text}");
        }
    }

    #[test]
    fn every_letter_of_sorani_has_a_glyph() {
        for letter in "ئابپتجچحخدرڕزژسشعغفڤقکگلڵمنوۆهھەیێ٠١٢٣٤٥٦٧٨٩،؛؟«»".chars()
        {
            assert!(has_glyph(letter), "{letter} {:x}", u32::from(letter));
        }
    }

    #[test]
    fn what_no_font_has_is_marked_and_remembered() {
        let mut texts = Texts::default();
        assert_eq!(texts.line("≥ 5 µm, 38 °C → ✓, α, Łódź").text, "≥ 5 µm, 38 °C → ✓, α, Łódź");
        assert!(!texts.any_missing);
        assert_eq!(texts.line("李 Ada \u{e000}\u{fe0f}ຉ").text, "□ Ada □□");
        assert!(texts.any_missing);
    }

    #[test]
    fn an_override_cannot_turn_a_number_around() {
        assert_eq!(line("\u{202e}05 mg\u{202c} \u{feff}\u{0}x").text, "05 mg\u{202c} x");
        assert_eq!(line("می\u{200c}شود").text, "می\u{200c}شود", "a joiner is part of the word");
    }

    #[test]
    fn lines_are_paragraphs_and_empty_lines_are_gaps() {
        let runs = Texts::default().paragraphs("\n\nFirst\r\nكسر\n \n\nThird  \n");
        let parts: Vec<_> = runs.iter().map(|run| (run.text.as_str(), run.rtl, run.gap)).collect();
        assert_eq!(parts, [("First", false, false), ("كسر", true, true), ("Third", false, true)]);
        assert_eq!(Texts::default().paragraphs(" \n "), []);
        assert_eq!(line("1 High Street\n\n Erbil ").text, "1 High Street Erbil");
    }

    #[test]
    fn an_endless_word_can_break() {
        let run = line(&"x".repeat(100));
        assert_eq!(run.text.split(ZERO_WIDTH_SPACE).map(str::len).collect::<Vec<_>>(), [36, 36, 28]);
    }
}
