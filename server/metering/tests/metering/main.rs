//! Metering from outside: limits, budgets under threads, and what the ledger hears in the end.

mod accounts;
mod budget;
mod compute;
mod fuzz;
mod kill;
mod leases;
mod replay;
mod world;
