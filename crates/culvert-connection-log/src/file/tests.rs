use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use super::*;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn log(folder: &Path, size: u64, keep: u32) -> FileLog {
    let rotation = Rotation {
        size,
        age: None,
        keep,
    };
    FileLog::open(folder, "/vpn/office", rotation).unwrap()
}

fn read(path: PathBuf) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn a_line_is_in_the_file_of_its_stream_and_no_stranger_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = log(folder.path(), 1000, 2);
    log.append("2026/11/22-a", "{}", NOW).unwrap();
    log.append("other", "{\"a\":\"b\"}", NOW).unwrap();
    let of_group = folder.path().join("vpn/office");
    let path = of_group.join("2026+11+22-a.log");
    assert_eq!(read(path.clone()), "{}\n");
    assert_eq!(read(of_group.join("other.log")), "{\"a\":\"b\"}\n");
    let mode = path.metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o007, 0);
    assert_eq!(mode & 0o700, 0o600);
}

#[test]
fn full_files_are_renamed_and_the_oldest_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = log(folder.path(), 8, 2);
    for number in 0..5 {
        log.append("s", &format!("line{number}"), NOW).unwrap();
    }
    let of_group = folder.path().join("vpn/office");
    let names = ["s.log", "s.log.1", "s.log.2"];
    let found: Vec<String> = names.iter().map(|name| read(of_group.join(name))).collect();
    assert_eq!(found, ["line4\n", "line3\n", "line2\n"]);
    assert_eq!(std::fs::read_dir(&of_group).unwrap().count(), 3);
}

#[test]
fn age_turns_a_file_over_that_is_continued_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let rotation = Rotation {
        size: 1000,
        age: Some(Duration::from_secs(3600)),
        keep: 5,
    };
    let open = || FileLog::open(folder.path(), "g", rotation).unwrap();
    let now = OffsetDateTime::now_utc();
    open().append("s", "one", now).unwrap();
    open().append("s", "two", now).unwrap();
    assert_eq!(read(folder.path().join("g/s.log")), "one\ntwo\n");
    let later = now + time::Duration::hours(2);
    open().append("s", "three", later).unwrap();
    assert_eq!(read(folder.path().join("g/s.log")), "three\n");
    assert_eq!(read(folder.path().join("g/s.log.1")), "one\ntwo\n");
}

#[test]
fn a_file_that_was_taken_away_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = log(folder.path(), 1000, 2);
    log.append("s", "one", NOW).unwrap();
    let path = folder.path().join("vpn/office/s.log");
    std::fs::rename(&path, folder.path().join("elsewhere")).unwrap();
    log.append("s", "two", NOW).unwrap();
    assert_eq!(read(path), "two\n");
    assert_eq!(read(folder.path().join("elsewhere")), "one\n");
}

#[test]
fn a_line_that_was_cut_does_not_spoil_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = log(folder.path(), 1000, 2);
    let path = folder.path().join("vpn/office/s.log");
    std::fs::write(&path, "{\"half").unwrap();
    log.append("s", "{}", NOW).unwrap();
    assert_eq!(read(path), "{\"half\n{}\n");
}

#[test]
fn neither_names_nor_links_lead_elsewhere() {
    let folder = tempfile::tempdir().unwrap();
    let refused = FileLog::open(folder.path(), "../out", Rotation::default());
    assert!(matches!(refused, Err(FileLogError::Name(_))));
    let mut log = log(folder.path(), 1000, 2);
    log.append("..", "{}", NOW).unwrap();
    assert_eq!(read(folder.path().join("vpn/office/...log")), "{}\n");
    assert!(matches!(
        log.append("a\0b", "{}", NOW),
        Err(FileLogError::Name(_))
    ));
    let target = folder.path().join("target");
    std::fs::write(&target, "precious").unwrap();
    std::os::unix::fs::symlink(&target, folder.path().join("vpn/office/s.log")).unwrap();
    let refused = log.append("s", "{}", NOW).unwrap_err().to_string();
    assert!(refused.contains("cannot open"), "{refused}");
    assert_eq!(read(target), "precious");
}

#[test]
fn more_streams_than_files_may_be_open_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut log = log(folder.path(), 1000, 2);
    for round in 0..2 {
        for stream in 0..(MAX_OPEN + 10) {
            log.append(&format!("s{stream}"), &format!("{round}"), NOW)
                .unwrap();
        }
        assert!(log.open.len() <= MAX_OPEN);
    }
    for stream in 0..(MAX_OPEN + 10) {
        let path = folder.path().join(format!("vpn/office/s{stream}.log"));
        assert_eq!(read(path), "0\n1\n");
    }
}

#[test]
fn a_folder_that_can_not_be_had_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "").unwrap();
    let refused = FileLog::open(&file, "g", Rotation::default())
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("file/g") && refused.contains("check that"),
        "{refused}"
    );
}
