//! Runs steps side by side: each as soon as what it waits for is over, at most N at once, a heavy one alone.
//!
//! Knows nothing of scripts: a step is a place in the list, and what it does is a function. Whatever that function
//! returns is handed back in the order of the list; `None` is a step that was not started because of the cancel flag.

use std::num::NonZeroUsize;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use common::cancel::Cancel;

/// What has to be known of a step to start it at the right time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Needs {
    /// Places of steps that have to be over first. There is no cycle in them.
    pub(crate) waits_for: Vec<usize>,
    /// It runs alone.
    pub(crate) heavy: bool,
}

struct State<T> {
    waiting: Vec<usize>,
    running: usize,
    heavy_runs: bool,
    results: Vec<Option<T>>,
}

/// Runs `step` for each place of `needs`, at most `jobs` at once.
pub(crate) fn run<T: Send>(
    needs: &[Needs],
    jobs: NonZeroUsize,
    cancel: &Cancel,
    step: &(dyn Fn(usize) -> T + Sync),
) -> Vec<Option<T>> {
    let state = Mutex::new(State {
        waiting: (0..needs.len()).collect(),
        running: 0,
        heavy_runs: false,
        results: needs.iter().map(|_| None).collect(),
    });
    let over = Condvar::new();
    let worker = || {
        let mut guard = lock(&state);
        loop {
            if cancel.is_cancelled() {
                guard.waiting.clear();
            }
            if guard.waiting.is_empty() {
                return;
            }
            let Some(place) = guard.take_ready(needs) else {
                guard = over.wait(guard).unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(guard);
            let result = step(place);
            guard = lock(&state);
            guard.running -= 1;
            guard.heavy_runs = false;
            guard.results[place] = Some(result);
            over.notify_all();
        }
    };
    thread::scope(|scope| {
        for _ in 1..jobs.get().min(needs.len()) {
            // At the limit of processes the others do its part.
            let _ = thread::Builder::new().spawn_scoped(scope, worker);
        }
        worker();
    });
    state.into_inner().unwrap_or_else(PoisonError::into_inner).results
}

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> State<T> {
    /// The first step that may start now, marked as running.
    fn take_ready(&mut self, needs: &[Needs]) -> Option<usize> {
        if self.heavy_runs {
            return None;
        }
        let is_ready = |place: &usize| {
            let needs = &needs[*place];
            (!needs.heavy || self.running == 0)
                && needs.waits_for.iter().all(|other| self.results[*other].is_some())
        };
        let index = self.waiting.iter().position(is_ready)?;
        let place = self.waiting.remove(index);
        self.running += 1;
        self.heavy_runs = needs[place].heavy;
        Some(place)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[track_caller]
    fn jobs(count: usize) -> NonZeroUsize {
        NonZeroUsize::new(count).unwrap()
    }

    #[test]
    fn a_heavy_step_runs_alone() {
        let needs: Vec<_> = (0..12).map(|n| Needs { waits_for: vec![], heavy: n % 3 == 0 }).collect();
        let running = AtomicUsize::new(0);
        let cancel = Cancel::new().unwrap();
        let alone = run(&needs, jobs(4), &cancel, &|_| {
            let before = running.fetch_add(1, Ordering::SeqCst);
            thread::sleep(std::time::Duration::from_millis(5));
            let after = running.fetch_sub(1, Ordering::SeqCst);
            before == 0 && after == 1
        });
        for (place, alone) in alone.iter().enumerate().filter(|(place, _)| place % 3 == 0) {
            assert_eq!(*alone, Some(true), "step {place}");
        }
    }
}
