//! What watching an answer costs for each of its tokens, and a prompt for each of its bytes.
//!
//! `cargo bench -p server-guard`
#![allow(clippy::print_stdout, reason = "a table is what a benchmark is for")]

use std::hint::black_box;
use std::time::Instant;

use server_guard::{Action, DenyList, Guard, Pii, PiiKind};

const ROUNDS: usize = 7;
const NUM_TOKENS: usize = 200_000;

fn main() {
    let phrases: String = (0..10_000).map(|n| format!("phrase number {n} of many\n")).collect();
    let started = Instant::now();
    let pii = Pii::new(&PiiKind::ALL, Action::Mask);
    println!("pii was made in {:.1?}", started.elapsed());
    let started = Instant::now();
    let deny = DenyList::parse(&phrases, Action::Mask).expect("a list");
    println!("10,000 phrases were read in {:.1?}\n", started.elapsed());
    println!("| text | guard | ns a token | MB/s at once |\n|---|---|---:|---:|");
    let prose = [
        " The", " house", " of", " my", " neigh", "bour", " is", " red", ",", " isn", "'t", " it",
        "?", " It", " was", " built", " in", " 19", "54", ".", "\n",
    ];
    let data = [
        " 12", "345", ",", " \"", "x", "\":", " 4", "111", " 1", "111", " DE", "89", " 370", " a",
        "@", "b", ".com", "}", " +", "49", " 151",
    ];
    let hostile = ["a.", "eyJ", "a", ".", "sk", "-", "1", " ", "4", ":"];
    for (name, tokens) in [("prose", &prose[..]), ("data", &data), ("hostile", &hostile)] {
        for guard in [&deny as &dyn Guard, &pii] {
            let (token, whole) = (per_token(guard, tokens), per_second(guard, tokens));
            println!("| {name} | {} | {token:.0} | {whole:.0} |", guard.name());
        }
    }
}

/// The median of the rounds.
fn median(round: impl Fn() -> f64) -> f64 {
    let mut all: Vec<f64> = (0..ROUNDS).map(|_| round()).collect();
    all.sort_by(f64::total_cmp);
    all[ROUNDS / 2]
}

fn per_token(guard: &dyn Guard, tokens: &[&str]) -> f64 {
    median(|| {
        let mut watch = guard.watch();
        let started = Instant::now();
        for token in tokens.iter().cycle().take(NUM_TOKENS) {
            black_box(watch.push(token));
        }
        black_box(watch.finish());
        started.elapsed().as_nanos() as f64 / NUM_TOKENS as f64
    })
}

fn per_second(guard: &dyn Guard, tokens: &[&str]) -> f64 {
    let text: String = tokens.iter().copied().cycle().take(NUM_TOKENS).collect();
    median(|| {
        let started = Instant::now();
        black_box(guard.check(&text));
        text.len() as f64 / 1e6 / started.elapsed().as_secs_f64()
    })
}
