//! From bytes to pixels, within limits.
//!
//! Invariant: how large an image is is read from its head and held against the limits before
//! anything of that size is allocated or decoded; what kind of image it is is told by its bytes.

use std::{
    io::Cursor,
    panic::{AssertUnwindSafe, catch_unwind},
};

use engine_core::ImageError;
use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, metadata::Orientation};

use crate::resize::Rgb;

/// Bytes of an image.
pub const MAX_BYTES: usize = 20 << 20;
/// Pixels of a side.
pub const MAX_SIDE: u32 = 1 << 14;
/// Pixels in all.
pub const MAX_PIXELS: u64 = 32 << 20;
/// Memory that a decoder may take beside what it reads: the widest pixels, twice.
const MAX_DECODER_BYTES: u64 = MAX_PIXELS * 8 * 2;

/// An image's width and height as it is to be seen.
pub(crate) fn size(bytes: &[u8]) -> Result<(usize, usize), ImageError> {
    guarded(|| {
        let (decoder, orientation) = open(bytes)?;
        let (width, height) = decoder.dimensions();
        let turned = matches!(
            orientation,
            Orientation::Rotate90
                | Orientation::Rotate270
                | Orientation::Rotate90FlipH
                | Orientation::Rotate270FlipH
        );
        let (width, height) = if turned { (height, width) } else { (width, height) };
        Ok((width as usize, height as usize))
    })
}

/// The image as it is to be seen: upright, of several the first, on white where it is transparent.
pub(crate) fn decode(bytes: &[u8]) -> Result<Rgb, ImageError> {
    guarded(|| {
        let (decoder, orientation) = open(bytes)?;
        let mut image = DynamicImage::from_decoder(decoder).map_err(|_| ImageError::Damaged)?;
        image.apply_orientation(orientation);
        let (width, height) = (image.width() as usize, image.height() as usize);
        let pixels = match image.color().has_alpha() {
            true => on_white(&image.into_rgba8()),
            false => image.into_rgb8().into_raw(),
        };
        Ok(Rgb { width, height, pixels })
    })
}

/// Red, green and blue over white, rounded as Pillow's `alpha_composite` does.
fn on_white(rgba: &[u8]) -> Vec<u8> {
    let over = |value: u8, alpha: u8| {
        let (value, alpha) = (u32::from(value), u32::from(alpha));
        let sum = (value * alpha + 255 * (255 - alpha) + 0x80) << 7;
        ((((sum >> 8) + sum) >> 8) >> 7) as u8
    };
    let pixels = rgba.as_chunks::<4>().0.iter();
    pixels.flat_map(|[r, g, b, alpha]| [r, g, b].map(|value| over(*value, *alpha))).collect()
}

/// A decoder that fails by a panic has been given a damaged image, and takes nothing else down.
fn guarded<T>(decode: impl FnOnce() -> Result<T, ImageError>) -> Result<T, ImageError> {
    catch_unwind(AssertUnwindSafe(decode)).unwrap_or(Err(ImageError::Damaged))
}

fn open(bytes: &[u8]) -> Result<(impl ImageDecoder + '_, Orientation), ImageError> {
    let too_large = |what, found: u64, max: u64| Err(ImageError::TooLarge { what, found, max });
    if bytes.len() > MAX_BYTES {
        return too_large("bytes", bytes.len() as u64, MAX_BYTES as u64);
    }
    let mut reader = ImageReader::new(Cursor::new(bytes));
    reader = reader.with_guessed_format().map_err(|_| ImageError::Format)?;
    match reader.format() {
        Some(ImageFormat::Png | ImageFormat::Jpeg | ImageFormat::WebP | ImageFormat::Gif) => {}
        _ => return Err(ImageError::Format),
    }
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODER_BYTES);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(|_| ImageError::Damaged)?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(ImageError::Damaged);
    }
    let longest = width.max(height);
    if longest > MAX_SIDE {
        return too_large("pixels on a side", longest.into(), MAX_SIDE.into());
    }
    let pixels = u64::from(width) * u64::from(height);
    if pixels > MAX_PIXELS {
        return too_large("pixels", pixels, MAX_PIXELS);
    }
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    Ok((decoder, orientation))
}
