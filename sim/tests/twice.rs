//! Nothing of a process may count: another process comes to the same, and if not, it is told where.

use std::process::{Command, Output};

fn sana_sim(arguments: &str) -> (bool, String) {
    let command = env!("CARGO_BIN_EXE_sana-sim");
    let Output { status, stdout, .. } =
        Command::new(command).args(arguments.split(' ')).output().expect("it was built");
    (status.success(), String::from_utf8(stdout).expect("it prints text"))
}

#[test]
fn two_processes_come_to_the_same() {
    let (is_fine, said) = sana_sim("twice --seeds 0..12 --seconds 10");
    assert!(is_fine && said.contains("12 seeds, the same in two processes"), "{said}");
}

#[test]
fn what_an_address_decides_is_noticed_and_located() {
    let (is_fine, said) = sana_sim("twice --seeds 0..2 --seconds 30 --unsteady");
    assert!(!is_fine && said.contains(" differs: "), "{said}");
    let line = said.lines().find_map(|line| line.strip_prefix("they part after line "));
    let line: usize =
        line.and_then(|n| n.trim_end_matches(':').parse().ok()).expect("it says where");
    assert!(line > 50, "the first nonces are steady: {said}");
}
