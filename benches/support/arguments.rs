//! What the benches take after `--`.

use std::{env, fs, path::PathBuf};

#[derive(Default)]
pub struct Arguments {
    /// A short run, which only shows that everything works.
    pub quick: bool,
    /// The folder for plots.
    svg: Option<PathBuf>,
    /// Parts of the names to measure; none means all.
    wanted: Vec<String>,
    /// The one to measure in this process, for another that reads what it prints.
    pub alone: Option<String>,
}

impl Arguments {
    pub fn parse() -> Arguments {
        let mut parsed = Arguments::default();
        let mut arguments = env::args().skip(1);
        while let Some(argument) = arguments.next() {
            match argument.as_str() {
                "--quick" => parsed.quick = true,
                "--svg" => {
                    let folder = arguments.next().expect("--svg needs the name of a folder");
                    parsed.svg = Some(folder.into());
                }
                "--alone" => parsed.alone = arguments.next(),
                // Cargo passes `--bench`; other arguments than ours are none of our business.
                option if option.starts_with('-') => {}
                _ => parsed.wanted.push(argument),
            }
        }
        parsed
    }

    pub fn wants(&self, name: &str) -> bool {
        self.wanted.is_empty() || self.wanted.iter().any(|part| name.contains(part.as_str()))
    }

    /// Writes a plot if there is a folder for it.
    pub fn plot(&self, name: &str, svg: impl FnOnce() -> String) {
        if let Some(folder) = &self.svg {
            fs::create_dir_all(folder).expect("the folder for the plots could not be made");
            let file = folder.join(name);
            fs::write(&file, svg()).expect("the plot could not be written");
            println!("plot {}", file.display());
        }
    }
}
