//! `linchpin demo`, and the commands it prints.

use crate::support::Folder;

#[test]
fn the_demo_runs_and_its_commands_work_as_printed() {
    let folder = Folder::new();
    let ran = folder.run(&["demo", "--dir", "my demo", "--bytes", "3MiB"]);
    let text = ran.ok().text();
    for part in
        ["aws.cloudtrail", "critical", "standard", "bulk", "Hidden in it: the access key AKIA", "Try next:"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    let commands: Vec<&str> =
        text.lines().skip_while(|line| *line != "Try next:").filter_map(|l| l.strip_prefix("  ")).collect();
    assert_eq!(commands.len(), 3, "{text}");
    let results: Vec<_> = commands.iter().map(|command| folder.shell(command)).collect();
    assert!(results[0].ok().text().lines().count() > 10, "{}", results[0].text());
    let key = text.split_once("the access key ").unwrap().1.split(' ').next().unwrap();
    let raw = std::fs::read_to_string(folder.path().join("my demo/leaked-key.jsonl")).unwrap();
    results[1].ok();
    assert!(raw.lines().count() > 5 && raw.lines().all(|line| line.contains(key)), "{raw}");
    assert!(results[2].ok().text().contains("segments read"), "{}", results[2].text());

    let again = folder.run(&["demo", "--dir", "my demo"]);
    let expected = "error: `my demo/linchpin.yaml` exists already\nhint: name another folder with `--dir`, or remove it\n";
    again.is(2, "", expected);
}
