//! The page's settings and docs/settings.md, both written from the declarations in `config/`.

use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use crate::config::{
    Condition, DataConfig, Group, Kind, LongRunConfig, ModelConfig, MonitorConfig, SampleConfig,
    Setting, Start, TrainConfig, default_text, setting,
};

/// Settings that the page does not show, since they only affect runs on several ranks.
const ELSEWHERE: [&str; 1] = ["accumulation"];
/// Choices that the page does not show: browsers' GPUs have neither bfloat16 nor TF32.
const ABSENT: [&str; 2] = ["bf16", "tf32"];

/// The settings of one JSON object.
struct Section {
    name: &'static str,
    title: &'static str,
    groups: &'static [Group],
    starting_points: Vec<Map<String, Value>>,
}

fn section<T: Start>(name: &'static str, title: &'static str) -> Section {
    let starting_points = T::starting_points().iter().map(T::to_map).collect();
    Section { name, title, groups: T::GROUPS, starting_points }
}

/// Sections of docs/settings.md.
fn all_sections() -> impl Iterator<Item = Section> {
    sections().into_iter().chain([section::<LongRunConfig>("long_run", "Long runs")])
}

/// Sections of the page.
fn sections() -> [Section; 5] {
    [
        section::<ModelConfig>("model", "Model"),
        section::<DataConfig>("data", "Data"),
        section::<TrainConfig>("train", "Training"),
        section::<MonitorConfig>("run", "Monitoring"),
        section::<SampleConfig>("sample", "Sampling"),
    ]
}

/// A setting of the page's form. The engine explains it.
#[derive(Serialize, ts_rs::TS)]
#[ts(rename = "Setting", optional_fields)]
struct Field {
    /// The key in the configuration.
    name: &'static str,
    /// The part of the configuration that has it; `run` is the configuration itself.
    group: &'static str,
    /// The heading under which it stands.
    heading: &'static str,
    label: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    kind: Kind,
    /// Whether `null` turns it off.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    optional: bool,
    /// The values of a choice, each with its label.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[ts(optional, as = "Option<Vec<(String, String)>>")]
    choices: Vec<(&'static str, &'static str)>,
    /// Whether it is shown to beginners.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[ts(optional, as = "Option<bool>")]
    basic: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    min: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    step: Option<f64>,
    /// The setting has an effect only while this holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    applies_if: Option<Condition>,
}

impl Field {
    fn new(group: &'static str, heading: &'static str, setting: &'static Setting) -> Self {
        let given = |text: &'static str| (!text.is_empty()).then_some(text);
        let choices = setting.choices.iter().map(|choice| (choice.name, choice.label));
        let choices = choices.filter(|(name, _)| !ABSENT.contains(name));
        Self {
            name: setting.key,
            group,
            heading,
            label: setting.label,
            unit: given(setting.unit),
            kind: setting.kind,
            optional: setting.optional,
            choices: choices.collect(),
            basic: setting.basic,
            min: setting.range.min,
            max: setting.range.max,
            step: setting.step,
            applies_if: setting.applies_if,
        }
    }
}

fn typescript() -> String {
    let config = ts_rs::Config::new().with_large_int("number");
    let mut text =
        String::from("// Generated from src/config by `cargo xtask types`; not to be edited.\n");
    text += &format!("\nexport {}\n", <Kind as ts_rs::TS>::decl(&config));
    text += &format!("\nexport {}\n", <Condition as ts_rs::TS>::decl(&config));
    text += &format!("\nexport {}\n", <Field as ts_rs::TS>::decl(&config));
    text += "\n/** Every setting that the page can show, in order. */\nexport const SETTINGS: Setting[] = [\n";
    for section in sections() {
        for group in section.groups {
            let shown = group.settings().filter(|setting| {
                setting.kind != Kind::Object && !ELSEWHERE.contains(&setting.key)
            });
            for setting in shown {
                let field = Field::new(section.name, group.title, setting);
                text += &format!("  {},\n", serde_json::to_string(&field).unwrap());
            }
        }
    }
    text + "]\n"
}

fn guide() -> String {
    let mut text = String::from(GUIDE);
    for section in all_sections() {
        text += &format!("\n## {}\n\n{}\n", section.title, place(section.name));
        for group in section.groups {
            if section.groups.len() > 1 {
                text += &format!("\n### {}\n", group.title);
            }
            text += "\n| Setting | Flag | Default | Allowed | Description |\n| --- | --- | --- | --- | --- |\n";
            for setting in group.settings() {
                text += &row(setting, &section.starting_points);
            }
        }
    }
    text
}

const GUIDE: &str = "<!-- Generated from src/config by `cargo xtask types`; not to be edited. -->
# Settings

Every setting has the same key everywhere: in settings files, in checkpoints (`training_state.json`, `config.json`) and, with
dashes, as a flag of the command line. `blankslate train` starts from a preset (`--preset`), applies a settings file
(`--config`) to it, and then the flags. `blankslate train --help` and `blankslate man train` show the same descriptions as this
page.

```json
{
  \"model\": { \"num_hidden_layers\": 4, \"hidden_size\": 128 },
  \"train\": { \"steps\": 2000, \"lr\": 0.001 },
  \"data\": { \"seq_len\": 64 },
  \"tokenizer\": \"bpe:1024\",
  \"sample_every\": 100
}
```
";

/// Where the settings of a section stand.
fn place(section: &str) -> &'static str {
    match section {
        "model" => {
            "Under `model` in a settings file. The architecture of saved weights is fixed, except for dropout."
        }
        "data" => "Under `data` in a settings file.",
        "train" => "Under `train` in a settings file.",
        "run" => "At the top of a settings file.",
        "long_run" => {
            "Under `long_run` in a settings file. `blankslate train` only: the page does not train a run on which one of them is set, \
             see [long-runs.md](long-runs.md)."
        }
        _ => "Flags of `blankslate sample` and `blankslate chat`.",
    }
}

fn row(setting: &Setting, starting_points: &[Map<String, Value>]) -> String {
    let code = |text: &str| format!("`{text}`");
    let flag = match setting.kind {
        Kind::Object => String::new(),
        _ => code(&format!("--{}", setting.flag())),
    };
    let allowed = match setting.kind {
        Kind::Choice => {
            setting.choices.iter().map(|choice| code(choice.name)).collect::<Vec<_>>().join(", ")
        }
        Kind::Switch => "`true`, `false`".into(),
        Kind::Names | Kind::Texts => "list of texts".into(),
        Kind::Object => "object".into(),
        Kind::Whole if setting.range.min.is_none() => "whole number, at least 0".into(),
        Kind::Whole => format!("whole number, {}", setting.range),
        Kind::Number => format!("number, {}", setting.range),
    };
    let mut description = setting.description();
    if let Some(Condition { key, value, equal }) = setting.applies_if {
        let verb = if equal { "is" } else { "is not" };
        description += &format!(" Only used if `{key}` {verb} `{value}`.");
    }
    for (name, text) in [("Formula", setting.formula), ("Source", setting.source)] {
        if !text.is_empty() {
            description += &format!(" {name}: {text}.");
        }
    }
    format!(
        "| {} | {flag} | {} | {allowed} | {} |\n",
        code(setting.key),
        default_text(setting, starting_points),
        description.replace('|', "\\|"),
    )
}

/// `cargo xtask types` writes both files anew.
#[test]
fn typescript_and_guide_of_settings_are_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, text) in [("www/settings.ts", typescript()), ("docs/settings.md", guide())] {
        let path = root.join(file);
        if std::env::var_os("UPDATE_TYPES").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        let there = std::fs::read_to_string(path).unwrap_or_default();
        assert!(there == text, "{file} is out of date: run `cargo xtask types`");
    }
}

#[test]
fn every_setting_is_described_and_names_only_settings() {
    let mut labels = std::collections::BTreeSet::new();
    for section in all_sections() {
        for (group, one) in
            section.groups.iter().flat_map(|group| group.settings().map(move |one| (group, one)))
        {
            let text = format!("{} {} {}", one.doc, one.usual, one.default_rule);
            assert!(!one.label.is_empty() && one.doc.trim().ends_with('.'), "{}", one.key);
            assert!(!one.usual.ends_with('.') && !group.title.is_empty(), "{}", one.key);
            assert!(labels.insert(one.label), "two settings are labelled {}", one.label);
            for name in text.split('`').skip(1).step_by(2) {
                assert!(
                    setting(name).is_some(),
                    "`{name}` in the description of {} is no setting",
                    one.key
                );
            }
            if let Some(Condition { key, .. }) = one.applies_if {
                let known = section.starting_points[0].contains_key(key)
                    || setting(key).is_some()
                    || key == "kind";
                assert!(known, "{} depends on {key}", one.key);
            }
            for point in &section.starting_points {
                let number = point[one.key].as_f64();
                assert!(number.is_none_or(|number| one.range.contains(number)), "{}", one.key);
            }
        }
    }
}
