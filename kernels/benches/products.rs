//! Speed of packed products at the shapes of a small model: `cargo bench -p kernels`.

#![allow(clippy::print_stdout, reason = "a benchmark's output")]

mod common;

use kernels::{Isa, pool::Pool, quant::DType};

fn main() {
    let isa = Isa::detect();
    println!("{} · best of 9, weights of one matrix (in cache)", isa.name());
    for dtype in [DType::Q4_1, DType::Q4_0, DType::Q8_0, DType::Q6K, DType::BF16] {
        for threads in [1, 2] {
            let mut pool = Pool::new(threads).expect("threads");
            for (rows, cols) in [(1536, 768), (576, 1536), (9216, 1536)] {
                let line = [512, 32, 8, 1].map(|m| {
                    let speed = common::product(dtype, (isa, &mut pool), (rows, cols), m);
                    format!("{:6.0} Gop/s {:5.1} GB/s", speed.gops, speed.gbs)
                });
                println!("{dtype:?} x{threads} {rows}x{cols} · m=512,32,8,1: {}", line.join(" | "));
            }
        }
    }
}
