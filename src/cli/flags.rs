//! Flags of settings, built from the settings' declarations.

use std::marker::PhantomData;
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use serde_json::{Map, Value};

use crate::config::{
    DataConfig, Kind, LongRunConfig, ModelConfig, MonitorConfig, PRESETS, Setting, Start,
    TrainConfig, default_text, setting,
};
use crate::error::name_settings;

/// All flags that are settings of a run.
#[derive(Args)]
pub struct SettingsArgs {
    #[command(flatten)]
    pub(super) model: Overrides<ModelConfig>,
    #[command(flatten)]
    pub(super) train: Overrides<TrainConfig>,
    #[command(flatten)]
    pub(super) data: Overrides<DataConfig>,
    #[command(flatten)]
    pub(super) monitor: Overrides<MonitorConfig>,
    #[command(flatten)]
    pub(super) long_run: Overrides<LongRunConfig>,
}

/// Preset and settings file.
#[derive(Args)]
pub struct BaseArgs {
    #[arg(long, value_name = "NAME", help = format!("Named starting point: {} [default: tiny]", PRESETS.join(", ")))]
    pub preset: Option<String>,
    /// JSON file {"model": {…}, "train": {…}, "data": {…}, "tokenizer": "…", "sample_every": N}; its settings override the
    /// preset's, and flags override both
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// The settings of `T` that are given on the command line.
#[derive(Clone, Debug)]
pub struct Overrides<T> {
    given: Map<String, Value>,
    settings: PhantomData<T>,
}

impl<T> Overrides<T> {
    /// Returns the given settings by key.
    pub fn given(&self) -> &Map<String, Value> {
        &self.given
    }
}

/// Returns the settings of `T` that have a flag.
fn flagged<T: Start>() -> impl Iterator<Item = &'static Setting> {
    T::settings().filter(|setting| setting.kind != Kind::Object)
}

impl<T: Start> FromArgMatches for Overrides<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let given = flagged::<T>()
            .filter_map(|setting| Some((setting.key.to_string(), value(setting, matches)?)));
        Ok(Self { given: given.collect(), settings: PhantomData })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        self.given.extend(Self::from_arg_matches(matches)?.given);
        Ok(())
    }
}

impl<T: Start> Args for Overrides<T> {
    fn augment_args(mut command: Command) -> Command {
        let starting_points: Vec<_> = T::starting_points().iter().map(T::to_map).collect();
        for group in T::GROUPS {
            let settings = group.settings().filter(|setting| setting.kind != Kind::Object);
            command = command.args(
                settings.map(|setting| arg(setting, &starting_points).help_heading(group.title)),
            );
        }
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

/// Creates the flag of a setting. Its identifier is the setting's key.
fn arg(setting: &'static Setting, starting_points: &[Map<String, Value>]) -> Arg {
    let default = format!("[default: {}]", default_text(setting, starting_points));
    let doc = setting.doc.trim();
    let first = doc.split_once(". ").map_or(doc, |(first, _)| first).trim_end_matches('.');
    let mut long = format!("{} {default}", setting.description());
    for (name, text) in [("Formula", setting.formula), ("Source", setting.source)] {
        if !text.is_empty() {
            long += &format!("\n{name}: {text}");
        }
    }
    let arg = Arg::new(setting.key)
        .long(setting.flag())
        .help(with_flags(&format!("{first} {default}")))
        .long_help(with_flags(&long));
    match setting.kind {
        Kind::Whole => arg.value_name("N").value_parser(value_parser!(u64)),
        Kind::Number => arg.value_name("X").value_parser(finite),
        Kind::Switch => arg
            .value_name("BOOL")
            .value_parser(value_parser!(bool))
            .num_args(0..=1)
            .default_missing_value("true"),
        Kind::Choice => {
            let value = |choice: &crate::config::Choice| {
                PossibleValue::new(choice.name).help(with_flags(choice.doc.trim()))
            };
            arg.value_name("NAME")
                .value_parser(PossibleValuesParser::new(setting.choices.iter().map(value)))
        }
        Kind::Names => arg.value_name("NAMES").value_delimiter(',').action(ArgAction::Append),
        Kind::Texts => arg.value_name("TEXT").action(ArgAction::Append).allow_hyphen_values(true),
        Kind::Object => unreachable!("such settings have no flag"),
    }
}

/// Returns the value of a setting if its flag was given.
fn value(setting: &Setting, matches: &ArgMatches) -> Option<Value> {
    let key = setting.key;
    match setting.kind {
        Kind::Whole => matches.get_one::<u64>(key).map(|number| (*number).into()),
        Kind::Number => matches.get_one::<f64>(key).map(|number| (*number).into()),
        Kind::Switch => matches.get_one::<bool>(key).map(|on| (*on).into()),
        Kind::Choice => matches.get_one::<String>(key).map(|name| name.clone().into()),
        Kind::Names | Kind::Texts => {
            matches.get_many::<String>(key).map(|names| names.cloned().collect())
        }
        Kind::Object => None,
    }
}

/// Replaces the names of settings in `text` by their flags.
pub fn with_flags(text: &str) -> String {
    name_settings(text, flag_of)
}

/// Options, other than settings, that messages of the core name.
const OPTIONS: [&str; 35] = [
    "bandwidth_efficiency",
    "budget_flops",
    "collective",
    "compare_weights",
    "data",
    "data_format",
    "device",
    "drop_highest",
    "efficiency",
    "flops",
    "from",
    "global_batch",
    "gpu",
    "gpus",
    "hours",
    "latency",
    "link_bandwidth",
    "memory",
    "memory_bandwidth",
    "network_bandwidth",
    "overlap",
    "parallel",
    "pattern",
    "peak_flops",
    "per_node",
    "preset",
    "resume",
    "sizes",
    "stop_at",
    "token_width",
    "tokens",
    "usable_memory",
    "val_data",
    "watts",
    "zero",
];

/// Returns the flag of the setting or option `key`, with its dashes.
pub fn flag_of(key: &str) -> Option<String> {
    match setting(key) {
        Some(setting) => Some(format!("--{}", setting.flag())),
        None => OPTIONS.contains(&key).then(|| format!("--{}", key.replace('_', "-"))),
    }
}

/// Parses a number that JSON can hold.
fn finite(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number".to_string())?;
    if number.is_finite() { Ok(number) } else { Err("it is not finite".into()) }
}
