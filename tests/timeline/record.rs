//! Records of programs, and what holds for each of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write},
    sync::{Arc, Mutex},
};

use headcount::{testing::Sim, timeline::Timeline};
use serde_json::Value;
use tracing::subscriber;
use tracing_subscriber::layer::SubscriberExt;

/// A file in memory.
#[derive(Clone, Default)]
pub struct Paper(pub Arc<Mutex<Vec<u8>>>);

impl Write for Paper {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Paper {
    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().clone()
    }
}

/// What is recorded of a program on this thread.
pub fn recorded(program: impl FnOnce()) -> Vec<u8> {
    let paper = Paper::default();
    let (timeline, recording) = Timeline::new(paper.clone());
    let subscriber = tracing_subscriber::registry().with(timeline);
    subscriber::with_default(subscriber, program);
    recording.finish().unwrap();
    paper.bytes()
}

pub fn recorded_in_sim<F>(program: F) -> Record
where
    F: Future<Output = ()> + Send + 'static,
{
    Record::read(&recorded(|| Sim::new(7).run(program)))
}

#[derive(Clone, Debug)]
pub struct Slice {
    pub name: String,
    pub category: String,
    pub pid: u64,
    pub tid: u64,
    /// In nanoseconds.
    pub from: u64,
    pub to: u64,
    pub arguments: BTreeMap<String, String>,
}

impl Slice {
    #[track_caller]
    pub fn outcome(&self) -> &str {
        &self.arguments["outcome"]
    }
}

#[derive(Debug)]
pub struct Mark {
    pub name: String,
    pub pid: u64,
    pub arguments: BTreeMap<String, String>,
}

#[derive(Debug, Default)]
pub struct Record {
    pub names: BTreeMap<u64, String>,
    pub slices: Vec<Slice>,
    pub marks: Vec<Mark>,
}

impl Record {
    /// Reads a record, and checks it against the rules of the format.
    #[track_caller]
    pub fn read(json: &[u8]) -> Self {
        let events: Vec<Value> = serde_json::from_slice(json).unwrap();
        let mut record = Record::default();
        for event in &events {
            record.take_in(event);
        }
        record.check();
        record
    }

    #[track_caller]
    fn take_in(&mut self, event: &Value) {
        let text = |field: &str| event[field].as_str().unwrap().to_owned();
        let whole = |field: &str| event[field].as_u64().unwrap();
        let nanos = |field: &str| {
            let micros = event[field].as_f64().unwrap();
            assert!(micros >= 0.0 && micros.is_finite());
            (micros * 1000.0).round() as u64
        };
        let (name, pid, tid) = (text("name"), whole("pid"), whole("tid"));
        let arguments = event["args"].as_object().unwrap();
        let arguments = arguments
            .iter()
            .map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
            .collect::<BTreeMap<_, _>>();
        match text("ph").as_str() {
            "M" if name == "process_name" => {
                let known = self.names.insert(pid, arguments["name"].clone());
                assert_eq!(known, None, "a process has one name");
            }
            "M" => assert_eq!(name, "thread_name"),
            "X" => self.slices.push(Slice {
                name,
                category: text("cat"),
                pid,
                tid,
                from: nanos("ts"),
                to: nanos("ts") + nanos("dur"),
                arguments,
            }),
            "i" => {
                assert_eq!(text("s"), "p", "the scope of an instant is its process");
                nanos("ts");
                self.marks.push(Mark {
                    name,
                    pid,
                    arguments,
                });
            }
            other => panic!("there is no phase {other} in a timeline"),
        }
    }

    #[track_caller]
    fn check(&self) {
        let mut lanes = BTreeMap::<_, Vec<&Slice>>::new();
        for slice in &self.slices {
            assert!(self.names.contains_key(&slice.pid), "{slice:?}");
            lanes.entry((slice.pid, slice.tid)).or_default().push(slice);
        }
        for mut lane in lanes.into_values() {
            lane.sort_by_key(|slice| (slice.from, std::cmp::Reverse(slice.to)));
            let mut around: Vec<&Slice> = Vec::new();
            for slice in lane {
                around.retain(|outer| outer.to > slice.from || outer.to >= slice.to);
                if let Some(outer) = around.last() {
                    assert!(slice.to <= outer.to, "{slice:?} overlaps {outer:?}");
                }
                around.push(slice);
            }
        }
        let boundaries: Vec<_> = self.of("boundary").map(|slice| slice.pid).collect();
        let different: BTreeSet<_> = boundaries.iter().collect();
        assert_eq!(different.len(), boundaries.len(), "one slice each");
        assert_eq!(different.len(), self.names.len());
    }

    pub fn of(&self, category: &str) -> impl Iterator<Item = &Slice> {
        let is_of = move |slice: &&Slice| slice.category == category;
        self.slices.iter().filter(is_of)
    }

    #[track_caller]
    pub fn named(&self, name: &str) -> &Slice {
        let found: Vec<_> = self
            .slices
            .iter()
            .filter(|slice| slice.name == name)
            .collect();
        assert_eq!(found.len(), 1, "{name} in {self:#?}");
        found[0]
    }
}
