//! Pictures for the demo: drawn, so that they are nobody's, and like enough to what they stand for. Bright is dense.

use std::io::Cursor;

use image::{DynamicImage, GrayImage, ImageFormat, ImageResult, Luma};

/// A chest from the front, with an opacity where one is given (x, y and radius, in halves of the picture).
pub fn chest(opacity: Option<(f32, f32, f32)>, seed: u32) -> GrayImage {
    draw(720, 800, seed, 5.0, |x, y| {
        let body = inside(x, y, 0.0, 0.15, 0.95, 1.35);
        let mut density = 40.0 + 125.0 * body;
        let lungs = inside(x, y, -0.43, 0.0, 0.33, 0.72).max(inside(x, y, 0.43, 0.0, 0.33, 0.72));
        let heart = inside(x, y, 0.14, 0.3, 0.3, 0.36);
        density -= 105.0 * lungs * (1.0 - heart);
        density += 45.0 * band(x, 0.07) * body;
        // Ribs fall from the spine outwards; each is brighter at its edges.
        for rib in 0_u8..9 {
            let height = -0.75 + 0.17 * f32::from(rib) + 0.35 * x * x;
            density += 24.0 * lungs * band(y - height, 0.022);
            density += 12.0 * lungs * band(y - height - 0.05, 0.012);
        }
        density += 40.0 * band(y + 0.78 - 0.18 * x.abs(), 0.035) * inside(x, y, 0.0, -0.75, 0.85, 0.3);
        if let Some((at_x, at_y, radius)) = opacity {
            let distance = ((x - at_x) / radius).hypot((y - at_y) / (radius * 0.8));
            density += 70.0 * lungs * (1.0 - 0.4 * heart) * (-1.6 * distance * distance).exp();
        }
        density
    })
}

/// A slice through the belly.
pub fn belly(seed: u32) -> GrayImage {
    draw(512, 512, seed, 9.0, |x, y| {
        let skin = inside(x, y, 0.0, 0.0, 0.88, 0.66);
        let within = inside(x, y, 0.0, 0.02, 0.76, 0.54);
        let mut density = 8.0 + 62.0 * skin + 55.0 * within;
        density += 30.0 * inside(x, y, -0.36, -0.1, 0.36, 0.34);
        density += 22.0 * inside(x, y, 0.52, 0.0, 0.14, 0.2);
        for side in [-1.0, 1.0] {
            density += 45.0 * inside(x, y, 0.3 * side, 0.26, 0.11, 0.13);
            density -= 25.0 * inside(x, y, 0.27 * side, 0.26, 0.04, 0.05);
        }
        density += 60.0 * inside(x, y, 0.05, 0.2, 0.06, 0.06);
        density -= 105.0 * inside(x, y, 0.26, -0.26, 0.13, 0.07);
        let vertebra = inside(x, y, 0.0, 0.36, 0.14, 0.11).max(inside(x, y, 0.0, 0.52, 0.035, 0.12));
        density + 120.0 * vertebra - 70.0 * inside(x, y, 0.0, 0.43, 0.045, 0.04)
    })
}

/// A slice through the head.
pub fn head(seed: u32) -> GrayImage {
    draw(512, 512, seed, 7.0, |x, y| {
        let scalp = inside(x, y, 0.0, 0.0, 0.72, 0.88);
        let skull = inside(x, y, 0.0, 0.0, 0.67, 0.83);
        let brain = inside(x, y, 0.0, 0.0, 0.61, 0.77);
        let mut signal = 6.0 + 165.0 * scalp - 140.0 * skull + 90.0 * brain;
        // The folds of the cortex, and what is white beneath.
        let angle = y.atan2(x);
        let depth = (x / 0.61).hypot(y / 0.77);
        signal += 26.0 * brain * (angle * 23.0 + (angle * 7.0).sin() * 3.0).sin() * band(depth - 0.9, 0.09);
        signal += 42.0 * inside(x, y, 0.0, 0.0, 0.47, 0.6);
        for side in [-1.0, 1.0] {
            signal -= 105.0 * inside(x - side * 0.09 - side * 0.1 * y.abs(), y, 0.0, 0.0, 0.055, 0.27);
        }
        signal - 45.0 * band(x, 0.012) * brain
    })
}

/// A fan of ultrasound, with a cyst in it.
pub fn ultrasound(seed: u32) -> GrayImage {
    draw(640, 480, seed, 0.0, |x, y| {
        let (across, down) = (x * 1.33, (y + 1.25) / 2.1);
        let depth = across.hypot(down * 1.5);
        let fan = step(0.62 - (across / (down * 1.5)).abs()) * step(depth - 0.28) * step(1.5 - depth);
        let speckle = 0.55 + 0.45 * noise((depth * 190.0) as u32, (across.atan2(down) * 160.0 + 500.0) as u32, seed);
        let cyst = inside(across, down * 1.5, 0.1, 0.92, 0.2, 0.16);
        let wall = band((across - 0.1).hypot((down * 1.5 - 0.92) * 1.25) - 0.2, 0.02);
        fan * speckle * (150.0 - 55.0 * depth) * (1.0 - 0.93 * cyst) + fan * 70.0 * wall
    })
}

pub fn png(picture: GrayImage) -> ImageResult<Vec<u8>> {
    encoded(picture, ImageFormat::Png)
}

pub fn jpeg(picture: GrayImage) -> ImageResult<Vec<u8>> {
    encoded(picture, ImageFormat::Jpeg)
}

fn encoded(picture: GrayImage, format: ImageFormat) -> ImageResult<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    DynamicImage::ImageLuma8(picture).write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

/// Each pixel of what `density` says there, from -1 to 1 in both directions, with grain.
fn draw(width: u32, height: u32, seed: u32, grain: f32, density: impl Fn(f32, f32) -> f32) -> GrayImage {
    GrayImage::from_fn(width, height, |column, row| {
        let along = |place: u32, length: u32| (place as f32 + 0.5) / length as f32 * 2.0 - 1.0;
        let value = density(along(column, width), along(row, height)) + grain * noise(column, row, seed);
        Luma([value.clamp(0.0, 255.0) as u8])
    })
}

/// 1 in the middle of an ellipse, 0 outside, and soft in between.
fn inside(x: f32, y: f32, at_x: f32, at_y: f32, radius_x: f32, radius_y: f32) -> f32 {
    let distance = ((x - at_x) / radius_x).hypot((y - at_y) / radius_y);
    ((1.0 - distance) * 14.0 + 0.5).clamp(0.0, 1.0)
}

/// 1 on a line, 0 beside it.
fn band(distance: f32, half_width: f32) -> f32 {
    (1.5 - distance.abs() / half_width).clamp(0.0, 1.0)
}

fn step(value: f32) -> f32 {
    if value > 0.0 { 1.0 } else { 0.0 }
}

/// From -1 to 1, the same in every run.
fn noise(x: u32, y: u32, seed: u32) -> f32 {
    let mut bits = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77) ^ seed.wrapping_mul(0xc2b2_ae3d);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297a_2d39);
    (bits ^ (bits >> 15)) as f32 / u32::MAX as f32 * 2.0 - 1.0
}
