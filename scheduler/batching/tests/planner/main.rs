//! The planner by hand, with the mock engine: what each rule is for, one test each.

mod bench;
mod classes;
mod crowding;
mod drafting;
mod late;
mod scheduling;
mod sharing;
mod windows;
