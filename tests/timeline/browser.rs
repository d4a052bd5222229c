//! Debian's Chromium without a window, as far as these tests need it.

use std::{
    collections::BTreeMap,
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The first of these that there is. Nothing is a failure if `HEADCOUNT_BROWSER` asks for one.
fn chromium() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let candidates = env::split_paths(&path).flat_map(|folder| names.map(|name| folder.join(name)));
    let found = candidates.into_iter().find(|candidate| candidate.is_file());
    if found.is_none() {
        assert!(
            env::var_os("HEADCOUNT_BROWSER").is_none(),
            "there is no Chromium"
        );
        eprintln!("skipped: there is no Chromium here to show the page (apt-get install chromium)");
    }
    found
}

/// A page in a folder of its own, and a browser.
pub struct Browser {
    chromium: PathBuf,
    folder: tempfile::TempDir,
}

/// A picture of `WIDTH` by `HEIGHT` pixels.
pub struct Picture(Vec<[u8; 3]>);

pub const WIDTH: usize = 1000;
pub const HEIGHT: usize = 600;

impl Browser {
    /// With the page of this record. Nothing if there is no browser.
    pub fn open(record: &[u8]) -> Option<Self> {
        let chromium = chromium()?;
        let folder = tempfile::tempdir().unwrap();
        let page = fs::File::create(folder.path().join("page.html")).unwrap();
        headcount::timeline::html(record, page).unwrap();
        Some(Browser { chromium, folder })
    }

    fn command(&self, hash: &str) -> (Command, String) {
        let path = |name: &str| self.folder.path().join(name);
        let mut command = Command::new(&self.chromium);
        command.args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-background-networking",
            "--no-first-run",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
        ]);
        command.arg(format!("--window-size={WIDTH},{HEIGHT}"));
        command.arg(format!("--user-data-dir={}", path("profile").display()));
        // What the browser says of itself is not for the output of a test.
        command.stderr(Stdio::null());
        let page = format!("file://{}#{hash}", path("page.html").display());
        (command, page)
    }

    /// The document, after its script has run.
    #[track_caller]
    pub fn dom(&self, hash: &str) -> Dom {
        let (mut command, page) = self.command(hash);
        let output = command.arg("--dump-dom").arg(page).output().unwrap();
        assert!(output.status.success(), "{}", output.status);
        Dom(String::from_utf8(output.stdout).unwrap())
    }

    #[track_caller]
    pub fn picture(&self, hash: &str, dark: bool) -> Picture {
        let (mut command, page) = self.command(hash);
        let file = self.folder.path().join("picture.png");
        command.arg(format!("--screenshot={}", file.display()));
        // As the browser numbers them.
        let scheme = if dark { 0 } else { 1 };
        command.arg(format!("--blink-settings=preferredColorScheme={scheme}"));
        let status = command.arg(page).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "{status}");
        Picture::read(&file)
    }
}

impl Picture {
    #[track_caller]
    fn read(file: &Path) -> Self {
        let decoder = png::Decoder::new(std::io::BufReader::new(fs::File::open(file).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        assert_eq!((info.width as usize, info.height as usize), (WIDTH, HEIGHT));
        let samples = info.color_type.samples();
        let pixels = bytes[..info.buffer_size()].chunks(samples);
        Picture(pixels.map(|pixel| [pixel[0], pixel[1], pixel[2]]).collect())
    }

    /// How many pixels have this colour, but for what a profile of colours may do to it.
    pub fn count(&self, colour: u32) -> usize {
        let [_, wanted @ ..] = colour.to_be_bytes();
        let is_near = |pixel: &&[u8; 3]| pixel.iter().zip(wanted).all(|(a, b)| a.abs_diff(b) <= 3);
        self.0.iter().filter(is_near).count()
    }

    pub fn different_pixels(&self, other: &Self) -> usize {
        self.0.iter().zip(&other.0).filter(|(a, b)| a != b).count()
    }
}

/// A document as text.
pub struct Dom(pub String);

impl Dom {
    /// What the page says of itself in the attributes of its body.
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        let start = format!(" data-{name}=\"");
        let found = self.0.split_once(&start);
        let (_, rest) = found.unwrap_or_else(|| panic!("the page does not say its {name}"));
        rest.split('"').next().unwrap().parse().unwrap()
    }

    /// The list of what is known of the selected slice.
    pub fn details(&self) -> BTreeMap<&str, &str> {
        let list = self.0.split_once("<section id=\"details\"");
        let list = list.and_then(|(_, rest)| rest.split_once("</section>"));
        let items = list.map_or("", |(list, _)| list).split("<dt>").skip(1);
        items
            .filter_map(|item| {
                let (what, rest) = item.split_once("</dt><dd>")?;
                Some((what, rest.split_once("</dd>")?.0))
            })
            .collect()
    }
}
