use std::{fmt, str::FromStr};

use infirmary_kernel::Invalid;

/// What an image was acquired with: a defined term of DICOM's Modality (0008,0060), PS3.3 C.7.3.1.1.1.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Modality(&'static str);

/// The terms that name a way of acquiring images; those for waveforms, plans and documents have none here.
const TERMS: &[(&str, &str)] = &[
    ("CR", "Computed Radiography"),
    ("DX", "Digital Radiography"),
    ("RG", "Radiographic imaging (film/screen)"),
    ("CT", "Computed Tomography"),
    ("MR", "Magnetic Resonance"),
    ("US", "Ultrasound"),
    ("XA", "X-Ray Angiography"),
    ("RF", "Radio Fluoroscopy"),
    ("MG", "Mammography"),
    ("NM", "Nuclear Medicine"),
    ("PT", "Positron Emission Tomography"),
    ("BI", "Biomagnetic Imaging"),
    ("BMD", "Bone Densitometry (X-Ray)"),
    ("DG", "Diaphanography"),
    ("ES", "Endoscopy"),
    ("GM", "General Microscopy"),
    ("IO", "Intra-oral Radiography"),
    ("IVOCT", "Intravascular Optical Coherence Tomography"),
    ("IVUS", "Intravascular Ultrasound"),
    ("LS", "Laser Surface Scan"),
    ("OCT", "Optical Coherence Tomography"),
    ("OP", "Ophthalmic Photography"),
    ("OPT", "Ophthalmic Tomography"),
    ("PX", "Panoramic X-Ray"),
    ("RTIMAGE", "Radiotherapy Image"),
    ("SM", "Slide Microscopy"),
    ("TG", "Thermography"),
    ("XC", "External-camera Photography"),
    ("OT", "Other"),
];

impl Modality {
    pub fn all() -> impl Iterator<Item = Self> {
        TERMS.iter().map(|(code, _)| Self(code))
    }

    /// Case and white space around do not matter.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let text = text.trim();
        Self::all().find(|known| known.0.eq_ignore_ascii_case(text)).ok_or_else(|| {
            Invalid::new("/modality", "is not a modality; give a DICOM term such as CR, DX, CT, MR, US, XA, MG, OT")
        })
    }

    pub const fn as_str(self) -> &'static str {
        self.0
    }

    /// Its name in the standard.
    pub fn name(self) -> &'static str {
        TERMS.iter().find(|(code, _)| *code == self.0).map_or(self.0, |(_, name)| name)
    }
}

impl FromStr for Modality {
    type Err = Invalid;
    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl fmt::Display for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Modality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modality_is_a_term_of_the_standard() {
        assert_eq!(Modality::parse(" ct ").unwrap().as_str(), "CT");
        assert_eq!(Modality::parse("MR").unwrap().name(), "Magnetic Resonance");
        for refused in ["", "XR", "X-ray", "C T", "CTX", "ＣＴ"] {
            assert!(Modality::parse(refused).is_err(), "{refused}");
        }
    }
}
