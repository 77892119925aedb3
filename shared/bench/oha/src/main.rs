//! oha, as its library has it; it completes no command lines.

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    let options = oha::Opts::parse();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(options.worker_threads.get())
        .enable_all()
        .build()?
        .block_on(oha::run(options))
}
