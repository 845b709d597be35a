//! `--prove`: whether files that were read back from a backup are the dumps that a service declares. The same checks as
//! the gate's, without those that only make sense before a backup. Nothing is written.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use common::cancel::Cancel;
use common::contract::proof::{Proof, ProofOutcome, ProvedDump};
use common::exit::{Exit, HintExt};
use common::out;
use common::text::{escape, escape_path};

use crate::context::Context;
use crate::gate::{self, Budget};
use crate::plan;
use crate::report::print_json;

/// Checks what lies in `folder` at the paths that the one service of `--only` declares.
pub(crate) fn run(context: &Context, folder: &Path) -> Result<Exit> {
    let found = context.candidates()?;
    let wanted = found.candidates.iter().filter(|one| plan::is_wanted(&one.name, &context.options.only));
    let scripts: Vec<_> = wanted.filter_map(|one| one.prepare.as_ref()).collect();
    let [script] = scripts.as_slice() else {
        return Err(anyhow!("prove: {} services with a prepare-backup.sh are named", scripts.len()))
            .hint("name one with --only; pre-backup-actions --list shows all");
    };
    let cancel = Cancel::on_signals()?;
    let limit = script.declarations.timeout.unwrap_or(context.options.timeout);
    let budget = Budget::after(Instant::now(), Duration::ZERO, limit, &cancel);
    let dumps = &script.declarations.dumps;
    let proof = Proof { dumps: dumps.iter().map(|dump| gate::prove(dump, folder, &budget)).collect() };
    let is_faulty = |dump: &ProvedDump| {
        dump.fault.is_some() || dump.files.iter().any(|file| file.outcome == ProofOutcome::Fault)
    };
    let exit = if proof.dumps.iter().any(is_faulty) { Exit::Failed } else { Exit::Done };
    if context.options.json {
        print_json(&proof);
        return Ok(exit);
    }
    for dump in &proof.dumps {
        if let Some(fault) = &dump.fault {
            out!("{}: {}", escape(dump.dump.as_bytes()), escape(fault.as_bytes()));
        }
        for file in &dump.files {
            let word = match file.outcome {
                ProofOutcome::Proved => "ok",
                ProofOutcome::Unproved => "unproved",
                ProofOutcome::Fault => "failed",
            };
            let why =
                file.why.as_ref().map(|why| format!(": {}", escape(why.as_bytes()))).unwrap_or_default();
            out!("{}: {word}{why}", escape_path(&file.path));
        }
    }
    if proof.dumps.is_empty() {
        out!("{} declares no dump", escape_path(&script.path));
    }
    Ok(exit)
}
