//! The command line of `cargo xtask`, and nothing else.
//!
//! Each subcommand's help describes what it does to the machine, because two of them put files outside the repository.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Build, install, show, test and measure backrest-helpers
#[derive(Debug, Parser)]
#[command(
    name = "xtask",
    bin_name = "cargo xtask",
    version,
    after_help = "Start with:\n  cargo xtask demo       see what it does, in a temporary home\n  \
                  cargo xtask test       run every check and test\n  \
                  cargo xtask install    put the tools into ~/.local/bin"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) task: Task,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Build the tools for use: static where each backup starts them or a container runs them
    Build(BuildOptions),
    /// Put the tools, and the old scripts' names for them, below a prefix
    #[command(
        after_help = "Example:\n  cargo xtask install --prefix /usr/local\n\nA file of yours that has one of the \
                            names is kept beside it as NAME.before-backrest-helpers."
    )]
    Install(InstallOptions),
    /// Take away exactly what install put there, and put back what it kept aside
    Uninstall(UninstallOptions),
    /// Make an archive that installs without Rust: static programs, install.sh, SHA-256 sums
    #[command(
        after_help = "Example:\n  cargo xtask dist --prove\n\n--prove builds twice and compares, then tries the archive \
                            in bare roots without Rust. It needs root and takes minutes."
    )]
    Dist(DistOptions),
    /// Show in a temporary home what the tools do, with real files and real restic
    #[command(
        after_help = "Example:\n  cargo xtask demo --keep /tmp/demo\n\nAs root on Debian restic and sqlite3 are \
                            installed if they are missing. Nothing else outside the temporary home is touched."
    )]
    Demo(DemoOptions),
    /// Check the format, the lints, the repository's own rules, and run all tests
    #[command(
        after_help = "As root on Debian the programs that the tests need are installed first (no service is \
                            started); otherwise the missing ones are named. The last line is `N passed, N failed`. \
                            `cargo xtask e2e`, which starts a Docker engine, is not part of it."
    )]
    Test,
    /// Run the whole way of a backup with a real Docker engine, and the ways in which it fails
    #[command(
        after_help = "Needs root: an engine of its own is started (dockerd, in namespaces of its own, with all its \
                            files in a temporary folder), never the machine's. Its images are made of bare roots of \
                            Debian and busybox below the target folder. As root on Debian the packages that it needs \
                            are installed first (no service is started). The last line is `N passed, N failed`. \
                            `cargo xtask test` does not run this."
    )]
    E2e(E2eOptions),
    /// Compare the tools' speed with what they replace
    #[command(after_help = "Example:\n  cargo xtask bench ignore")]
    Bench {
        /// What to measure
        what: Measure,
    },
    /// Tests that take longer than every change can wait for
    #[command(subcommand, after_help = "Example:\n  cargo xtask soak ignore --minutes 30")]
    Soak(Endurance),
    /// Write the generated pages: reference.md, modules.md, the list of errors in troubleshooting.md
    Reference,
    /// Render the pictures of the pages from real runs
    Pictures(PicturesOptions),
    /// Check the repository's own rules: documentation, file length, what must not occur
    Tidy,
}

#[derive(Args, Clone, Debug, Default)]
pub(crate) struct BuildOptions {
    /// Build without optimisation, which is faster to build
    #[arg(long)]
    pub(crate) debug: bool,
}

#[derive(Args, Debug)]
pub(crate) struct E2eOptions {
    #[command(flatten)]
    pub(crate) build: BuildOptions,
    /// Run only the scenarios whose name contains TEXT; most need the ones before them
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub(crate) only: String,
}

#[derive(Args, Debug)]
pub(crate) struct InstallOptions {
    #[command(flatten)]
    pub(crate) place: UninstallOptions,
    #[command(flatten)]
    pub(crate) build: BuildOptions,
}

#[derive(Args, Debug)]
pub(crate) struct UninstallOptions {
    /// Folder that holds bin and share [default: ~/.local]
    #[arg(long, value_name = "DIR")]
    pub(crate) prefix: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct DistOptions {
    /// Folder for the archive and its sums [default: dist in the target folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) output: Option<PathBuf>,
    /// Architecture; aarch64 needs root, for a root of Debian trixie to build in
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Architecture::X86_64)]
    pub(crate) architecture: Architecture,
    /// Build twice and compare; install, run, upgrade and uninstall in bare roots
    #[arg(long)]
    pub(crate) prove: bool,
    /// Roots for --prove (can be repeated) [default: all]
    #[arg(long, value_enum, value_name = "NAME", requires = "prove")]
    pub(crate) root: Vec<Root>,
    /// Build without optimisation, for a test of the way and not of the programs
    #[arg(long)]
    pub(crate) debug: bool,
}

/// What an archive is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Architecture {
    #[value(name = "x86-64")]
    X86_64,
    Aarch64,
}

/// Where an archive is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Root {
    Busybox,
    Bookworm,
    Trixie,
}

#[derive(Args, Debug)]
pub(crate) struct PicturesOptions {
    /// Write nothing; exit with 1 if a picture is out of date
    #[arg(long)]
    pub(crate) check: bool,
}

#[derive(Args, Debug)]
pub(crate) struct DemoOptions {
    /// Work in this folder, which must be empty, and leave everything there to look at
    #[arg(long, value_name = "DIR")]
    pub(crate) keep: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Measure {
    /// pre-backup-actions beside a Bash loop: 200 scripts that do nothing; memory; the check of a dump of 1 GiB
    Actions,
    /// pipe-listener beside a Bash loop that reads a FIFO: time to the first effect, messages a second
    Bridge,
    /// build-ignore against rules made to stall it: depth, stars and rules, each doubled
    Hostile,
    /// build-ignore beside a Bash loop: 1,000 services of 20 lines
    Ignore,
    /// The 200 scripts of `actions` alone; takes seconds
    Scripts,
    /// restic's processor time with exclude files of different forms; takes minutes
    Restic,
    /// create-backrest-pipe verify beside restic ls, and its memory for a million files; takes minutes
    Verify,
    /// build-ignore's walk beside find, bfs and fd; growth and memory
    Walk,
}

#[derive(Clone, Debug, Subcommand)]
pub(crate) enum Endurance {
    /// Exclude files for random services, against git and two versions of restic
    Ignore {
        /// How long, in minutes
        #[arg(long, default_value_t = 10)]
        minutes: u32,
    },
    /// Messages through a listener that is killed again and again
    Bridge {
        /// How often it is killed
        #[arg(long, default_value_t = 1000)]
        kills: u32,
    },
    /// Hostile clients, ignore files and kills in numbers
    Hostile,
    /// Pushes to the real Uptime Kuma, which npm puts below the target folder
    Push,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_reads_well() {
        insta::assert_snapshot!(Cli::command().render_long_help());
    }
}
