//! DICOM Part 10: the walk through its header, and its first frame up to the preview.

use infirmary_imaging::ImageFormat;

use super::image::read;
use crate::{corpus::fixtures, harness::Target};

const MAX_BYTES: usize = 24 * 1024;

pub const TARGET: Target = Target {
    name: "dicom",
    run: |input| read(input, ImageFormat::Dicom),
    seeds: || fixtures("dicom", "dcm", MAX_BYTES),
    words: &[
        b"DICM",
        b"\x02\0\x10\0UI",
        b"1.2.840.10008.1.2\0",
        b"1.2.840.10008.1.2.2\0",
        b"1.2.840.10008.1.2.5\0",
        b"1.2.840.10008.1.2.4.50",
        b"1.2.840.10008.1.2.1.99",
        b"\xe0\x7f\x10\0OW\0\0\xff\xff\xff\xff",
        b"\xfe\xff\0\xe0",
        b"\xfe\xff\x0d\xe0\0\0\0\0",
        b"\xfe\xff\xdd\xe0\0\0\0\0",
        b"SQ\0\0\xff\xff\xff\xff",
        b"UN\0\0",
        b"\x28\0\x02\0US\x02\0\x03\0",
        b"\x28\0\x08\0IS\x02\x002 ",
        b"\x28\0\x10\0US\x02\0\xff\xff",
        b"\x28\0\x11\0US\x02\0\xff\xff",
        b"\x28\0\x00\x01US\x02\0\x01\0",
        b"PALETTE COLOR ",
        b"YBR_FULL_422",
        b"MONOCHROME1 ",
    ],
    max_bytes: MAX_BYTES,
    max_mib: 288,
    changes: 400,
};
