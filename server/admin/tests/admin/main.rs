//! The admin API as OpenAI's clients see it: a real store on SQLite with two organizations, through
//! the whole router.

mod access;
mod audit;
mod described;
mod hooks;
mod isolation;
mod keys;
mod limits;
mod people;
mod privacy;
mod projects;
mod provisions;
mod sample;
mod usage;
mod world;
