//! Images and files that lie, end early or are too large.

mod support;

use std::{collections::BTreeMap, path::PathBuf};

use engine_core::{EncodeInput, Encoder, ImageError, ImageReader, Tiles};
use engine_encoder::Precision;
use engine_vision::{MAX_PIXELS, MAX_SIDE, Reader, open};
use serde_json::{Value, json};
use support::{files, image, model, testdata, tower};
use tempfile::TempDir;

fn reader() -> Reader {
    Reader::new(&model("smolvlm").0)
}

/// The checksum of a PNG's chunk.
fn crc(bytes: &[u8]) -> u32 {
    let bit = |crc: u32, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg());
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), bit))
}

/// A PNG that claims another size.
fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut bytes = image("photo.png");
    bytes[16..20].copy_from_slice(&width.to_be_bytes());
    bytes[20..24].copy_from_slice(&height.to_be_bytes());
    let crc = crc(&bytes[12..29]).to_be_bytes();
    bytes[29..33].copy_from_slice(&crc);
    bytes
}

/// A GIF of one colour that claims a size.
fn gif(width: u16, height: u16) -> Vec<u8> {
    let size = [width.to_le_bytes(), height.to_le_bytes()].concat();
    [&b"GIF89a"[..], &size, &[0, 0, 0, 0x2c, 0, 0, 0, 0], &size, &[0, 2, 2, 0x4c, 1, 0, 0x3b]]
        .concat()
}

#[test]
fn bombs_are_refused_by_their_heads() {
    let reader = reader();
    let side =
        |found: u64| ImageError::TooLarge { what: "pixels on a side", found, max: MAX_SIDE.into() };
    let pixels = |found: u64| ImageError::TooLarge { what: "pixels", found, max: MAX_PIXELS };
    for (bytes, expect) in [
        (claiming(1, MAX_SIDE + 1), side(u64::from(MAX_SIDE) + 1)),
        (claiming(16_000, 16_000), pixels(256_000_000)),
        (gif(65_535, 65_535), side(65_535)),
        (gif(16_000, 16_000), pixels(256_000_000)),
    ] {
        // Both before anything is decoded.
        assert_eq!(reader.plan(&bytes), Err(expect.clone()));
        assert_eq!(reader.read(&bytes), Err(expect));
    }
    // A width that the format itself has no room for.
    assert!(reader.plan(&claiming(1 << 30, 1)).is_err());
    let large = vec![0; engine_vision::MAX_BYTES + 1];
    assert!(matches!(reader.plan(&large), Err(ImageError::TooLarge { what: "bytes", .. })));
    // As large as may be: the head is well, and the rest is not what it says.
    assert!(reader.plan(&claiming(8192, 4096)).is_ok());
    assert_eq!(reader.read(&claiming(8192, 4096)), Err(ImageError::Damaged));
}

#[test]
fn what_is_no_image_or_ends_early_is_refused() {
    let reader = reader();
    for bytes in [
        &b""[..],
        b"x",
        b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        b"%PDF-1.7",
        b"BM\x00\x00\x00\x00",
        b"II*\x00",
        b"\x00\x00\x00\x18ftypavif",
        b"RIFF\x00\x00\x00\x00WAVE",
    ] {
        assert_eq!(reader.plan(bytes), Err(ImageError::Format), "{bytes:?}");
    }
    for name in ["photo.png", "palette.png", "square.webp"] {
        let whole = image(name);
        assert!(reader.read(&whole).is_ok());
        for len in (0..whole.len().min(64)).chain((64..whole.len() - 20).step_by(97)) {
            let cut = reader.read(&whole[..len]);
            assert!(matches!(cut, Err(ImageError::Damaged | ImageError::Format)), "{name}: {len}");
        }
        // Bytes that are wrong may give another picture, and never a panic or another size.
        for at in (8..whole.len()).step_by(31) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x5a;
            if let (Ok(plan), Ok(read)) = (reader.plan(&bytes), reader.read(&bytes)) {
                assert_eq!(plan.num_rows, read.tokens.len(), "{name}: {at}");
            }
        }
    }
}

#[test]
fn every_shape_gives_pieces_within_bounds() {
    let (model, _) = model("smolvlm");
    let reader = Reader::new(&model);
    let most = model.rules.max_tiles() * model.spec.rows_per_tile();
    for width in [1, 2, 3, 95, 96, 97, 1000, 16_384] {
        for height in [1, 2, 3, 95, 96, 97, 1000, 2048] {
            let plan = reader.plan(&claiming(width, height)).expect("a plan");
            assert!((1..=most).contains(&plan.num_rows), "{width} × {height}");
            let marks = plan.text.matches(&reader.marks().text).count();
            assert_eq!(marks, plan.num_rows, "{width} × {height}");
        }
    }
}

#[test]
fn what_the_tower_cannot_see_is_refused_and_it_goes_on() {
    let (model, golden) = model("smolvlm");
    let mut tower = tower(&model, Precision::Fast);
    let fine = std::sync::Arc::new(Reader::new(&model).read(&image(&golden.seen.image)).unwrap());
    let rows = tower.encode(std::slice::from_ref(&fine)).expect("rows");
    let input = |tokens: usize, tiles: Option<Tiles>| {
        std::sync::Arc::new(EncodeInput { tokens: vec![1; tokens], tiles, ..Default::default() })
    };
    let tiles = |side: usize, len: usize| Some(Tiles { side, pixels: vec![0; len] });
    let tile = 3 * 24 * 24;
    for (bad, what) in [
        (input(9, None), "nothing to see"),
        (input(9, tiles(24, tile - 1)), "bytes in pieces"),
        (input(9, tiles(24, 0)), "bytes in pieces"),
        (input(9, tiles(12, tile)), "pieces of 12 pixels"),
        (input(8, tiles(24, tile)), "8 tokens for 9 rows"),
    ] {
        let error = tower.encode(&[fine.clone(), bad]).expect_err(what).to_string();
        assert!(error.contains(what) && error.contains("input 1"), "{error}");
    }
    assert_eq!(tower.encode(&[fine]).expect("rows"), rows);
}

/// The files of a model, one of them with another value in a field (or without it, for `null`).
fn lying(dir: &TempDir, name: &str, pointer: &str, value: Value) -> BTreeMap<String, PathBuf> {
    let mut files = files(&testdata().join("smolvlm"));
    let mut config: Value =
        serde_json::from_slice(&std::fs::read(&files[name]).expect("a file")).expect("JSON");
    let (parent, field) = pointer.rsplit_once('/').expect("a pointer");
    let parent = config.pointer_mut(parent).expect("it is there").as_object_mut().expect("fields");
    match value {
        Value::Null => drop(parent.remove(field)),
        value => drop(parent.insert(field.to_owned(), value)),
    }
    let path = dir.path().join(name);
    std::fs::write(&path, config.to_string()).expect("it is written");
    files.insert(name.to_owned(), path);
    files
}

#[test]
fn files_that_lie_are_refused_by_field_or_tensor() {
    let dir = tempfile::tempdir().expect("a folder");
    let (config, rules) = ("config.json", "preprocessor_config.json");
    for (name, pointer, value, says) in [
        (config, "/vision_config", json!(null), "vision_config"),
        (config, "/vision_config/hidden_size", json!(64), "vision_config.hidden_size is 64"),
        (config, "/vision_config/hidden_size", json!(1_u64 << 40), "hidden_size"),
        (config, "/vision_config/num_attention_heads", json!(3), "num_attention_heads"),
        (config, "/vision_config/num_attention_heads", json!(0), "num_attention_heads"),
        (config, "/vision_config/num_hidden_layers", json!(1_u64 << 30), "num_hidden_layers"),
        (
            config,
            "/vision_config/num_hidden_layers",
            json!(1),
            "vision_config.num_hidden_layers is 1",
        ),
        (
            config,
            "/vision_config/num_hidden_layers",
            json!(3),
            "encoder.layers.2.self_attn.q_proj.weight",
        ),
        (config, "/vision_config/patch_size", json!(0), "patch_size"),
        (config, "/vision_config/patch_size", json!(25), "patch_size"),
        (config, "/vision_config/patch_size", json!([4, 4]), "patch_size"),
        (config, "/vision_config/image_size", json!(3), "image_size"),
        (config, "/vision_config/image_size", json!(48), "vision_config.image_size is 48"),
        (config, "/vision_config/hidden_act", json!("tanh"), "hidden_act"),
        (config, "/vision_config/layer_norm_eps", json!(2), "vision_config.layer_norm_eps"),
        (config, "/vision_config/num_channels", json!(4), "num_channels"),
        (config, "/vision_config/intermediate_size", json!(-1), "intermediate_size"),
        (config, "/scale_factor", json!(4), "scale_factor"),
        (config, "/scale_factor", json!(0), "scale_factor"),
        (config, "/scale_factor", json!(3), "scale_factor is 3"),
        (config, "/text_config/hidden_size", json!(64), "text_config.hidden_size is 64"),
        (config, "/image_token_id", json!(-1), "image_token_id"),
        (rules, "/size", json!({"height": 9, "width": 9}), "longest_edge"),
        (rules, "/size", json!({"longest_edge": 0}), "size"),
        (rules, "/size", json!({"longest_edge": 60_000}), "max_image_size"),
        (rules, "/max_image_size", json!({"longest_edge": 1_u64 << 40}), "max_image_size"),
        (rules, "/max_image_size", json!({"longest_edge": 20}), "scale_factor"),
        (rules, "/resample", json!(2), "resample"),
        (rules, "/do_resize", json!(false), "do_resize"),
        (rules, "/do_normalize", json!(false), "do_normalize"),
        (rules, "/image_mean", json!([0.5]), "image_mean"),
        (rules, "/image_std", json!([0.0, 0.5, 0.5]), "image_std"),
        (rules, "/rescale_factor", json!(0), "rescale_factor"),
    ] {
        let files = lying(&dir, name, pointer, value.clone());
        let error = match open(&files) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("{pointer} = {value} was taken"),
        };
        assert!(error.contains(says), "{pointer} = {value}: {error}");
    }
    let mut none = files(&testdata().join("smolvlm"));
    none.remove(rules);
    assert!(open(&none).expect_err("no rules").to_string().contains(rules));
    let mut other = lying(&dir, config, "/architectures", json!(["LlamaForCausalLM"]));
    assert!(open(&other).expect("no error").is_none(), "others do not see");
    other.clear();
    assert!(open(&other).expect("no error").is_none());
}
