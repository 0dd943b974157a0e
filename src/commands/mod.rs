//! One file per subcommand.

mod accounts;
mod bench;
mod database;
mod model;
mod perplexity;
mod quantize;
mod run;
mod serve;

use anyhow::{Context, Result, bail};

use crate::{
    cli::{Cli, Command},
    data_dir,
    load::{self, EngineOptions, ToServe},
};

/// Runs the chosen subcommand to its end.
///
/// # Errors
/// What went wrong, fit to show.
pub(crate) fn run(cli: Cli) -> Result<()> {
    let data_dir = data_dir::open(cli.data_dir)?;
    let runtime = server_http::runtime().context("cannot start the runtime")?;
    match cli.command {
        Command::Serve(args) => runtime.block_on(serve::run(*args, &data_dir)),
        Command::Key(command) => runtime.block_on(accounts::key::run(command, &data_dir)),
        Command::Org(command) => runtime.block_on(accounts::org::run(command, &data_dir)),
        Command::Project(command) => runtime.block_on(accounts::project::run(command, &data_dir)),
        Command::User(command) => runtime.block_on(accounts::user::run(command, &data_dir)),
        Command::Price(command) => runtime.block_on(accounts::price::run(command, &data_dir)),
        Command::Provision(command) => {
            runtime.block_on(accounts::provision::run(command, &data_dir))
        }
        Command::Commitment(command) => {
            runtime.block_on(accounts::commitment::run(command, &data_dir))
        }
        Command::Alert(command) => runtime.block_on(accounts::alert::run(command, &data_dir)),
        Command::Webhook(command) => runtime.block_on(accounts::webhook::run(command, &data_dir)),
        Command::Usage(args) => runtime.block_on(accounts::usage::run(*args, &data_dir)),
        Command::Audit(command) => runtime.block_on(accounts::audit::run(command, &data_dir)),
        Command::Model(command) => runtime.block_on(model::run(command, &data_dir)),
        Command::Run(args) => {
            let options = EngineOptions::new(&args.engine);
            let loaded = runtime.block_on(load::by_name(&data_dir, &args.name, options))?;
            run::run(&args, loaded)
        }
        Command::Bench(args) => {
            let options = EngineOptions::new(&args.engine);
            let options = if args.adapters > 0 { options.with_adapters() } else { options };
            match runtime.block_on(load::to_serve(&data_dir, &args.name, options))? {
                ToServe::Generator(loaded) => bench::run(&args, *loaded, options.threads),
                ToServe::Encoder(loaded) => bench::encode(&args, *loaded, options.threads),
                ToServe::Speech(loaded) => {
                    bail!("{} writes down recordings, which are not measured", loaded.manifest.name)
                }
            }
        }
        Command::Perplexity(args) => {
            let options = EngineOptions::new(&args.engine);
            let loaded = runtime.block_on(load::by_name(&data_dir, &args.name, options))?;
            perplexity::run(&args, loaded, options.threads)
        }
        Command::Migrate(args) => runtime.block_on(database::migrated(&args, &data_dir)),
        Command::Backup(args) => runtime.block_on(database::backed_up(&args, &data_dir)),
        Command::Restore(args) => runtime.block_on(database::restored(&args, &data_dir)),
    }
}
