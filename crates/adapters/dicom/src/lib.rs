//! Reads the images that are uploaded: PNG, JPEG and DICOM Part 10, the last with `dicom-rs`.
//!
//! Pixels are taken row by row and averaged as they come wherever the format lets them be: PNG, and DICOM that is not
//! compressed or compressed by RLE. Only JPEG is decoded whole, at a fraction of its size where that is enough.
//!
//! Invariants
//! - Nothing is allocated by a number in a file before that number was compared with a limit.
//! - Memory is bounded by [`ImageFileReader`]'s budget, whatever comes at once; a file's size does not count, its
//!   frame does.
//! - A preview is written from eight-bit samples and nothing else, so nothing else of the file can be in it.
//! - Deliberately absent: JPEG 2000 and JPEG-LS, for which there is no decoder of more than eight bits without
//!   `unsafe` or a C library. Such files are kept, and their preview says so.

mod budget;
mod dicom_file;
mod frame;
mod header;
mod jpeg;
mod jpeg_file;
mod picture;
mod pixels;
mod png_file;
mod reader;
mod rle;
mod shrink;

use reader::Refusal;

pub use reader::ImageFileReader;
