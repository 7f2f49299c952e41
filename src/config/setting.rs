//! How a setting is declared: once, beside its field.
//!
//! Validation, command-line flags, the page's form and docs/settings.md all read these declarations. The macros in
//! `declare.rs` attach them to ordinary structs and enums.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::range::Range;
use crate::error::{Error, Result};

/// Declaration of a setting, from which every edge shows it.
///
/// Texts name other settings by their keys in backticks, which an edge replaces by flags or labels.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Key in JSON.
    pub key: &'static str,
    /// Name in the page's form.
    pub label: &'static str,
    /// What the setting does.
    pub doc: &'static str,
    /// Kind of the value.
    pub kind: Kind,
    /// Whether `null` turns it off.
    pub optional: bool,
    /// Values of a choice.
    pub choices: &'static [Choice],
    /// Allowed numbers.
    pub range: Range,
    /// Unit of the number.
    pub unit: &'static str,
    /// Usual values.
    pub usual: &'static str,
    /// Rule of the default, if it follows from other settings.
    pub default_rule: &'static str,
    /// Formula that contains the setting.
    pub formula: &'static str,
    /// Publication or program that the setting or its usual value comes from.
    pub source: &'static str,
    /// Name of the flag, if it differs from the key.
    pub flag: &'static str,
    /// Whether it is shown to beginners.
    pub basic: bool,
    /// Step of the number field in the page's form.
    pub step: Option<f64>,
    /// Condition without which a value other than the default has no effect.
    pub applies_if: Option<Condition>,
}

/// Form of a setting's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A whole number.
    Whole,
    /// A finite number.
    Number,
    /// `true` or `false`.
    Switch,
    /// One of several names.
    Choice,
    /// Names, separated by commas on the command line.
    Names,
    /// Texts, given one by one on the command line.
    Texts,
    /// A JSON object, in settings files only.
    Object,
}

/// One value of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The value in JSON and on the command line.
    pub name: &'static str,
    /// The value in the page's form.
    pub label: &'static str,
    /// What it means.
    pub doc: &'static str,
}

/// A setting has an effect only while another one has, or has not, a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(ts_rs::TS))]
pub struct Condition {
    /// Key of the other setting.
    pub key: &'static str,
    /// The other setting's value, as text.
    pub value: &'static str,
    /// Whether the other setting must have that value, or must not.
    pub equal: bool,
}

/// Returns the condition that the setting `key` has the value `value`.
pub const fn when(key: &'static str, value: &'static str) -> Option<Condition> {
    Some(Condition { key, value, equal: true })
}

/// Returns the condition that the setting `key` does not have the value `value`.
pub const fn unless(key: &'static str, value: &'static str) -> Option<Condition> {
    Some(Condition { key, value, equal: false })
}

impl Setting {
    /// Creates a declaration without optional details, for the macros to complete.
    pub const fn new(key: &'static str, doc: &'static str, shape: Shape) -> Self {
        Self {
            key,
            label: "",
            doc,
            kind: shape.kind,
            optional: shape.optional,
            choices: shape.choices,
            range: Range::ANY,
            unit: "",
            usual: "",
            default_rule: "",
            formula: "",
            source: "",
            flag: "",
            basic: false,
            step: None,
            applies_if: None,
        }
    }

    /// Returns the flag on the command line, without its dashes.
    pub fn flag(&self) -> String {
        if self.flag.is_empty() { self.key.replace('_', "-") } else { self.flag.into() }
    }

    /// Returns the description with the usual values.
    pub fn description(&self) -> String {
        let doc = self.doc.trim();
        match self.usual {
            "" => doc.to_string(),
            usual => format!("{doc} Usually {usual}."),
        }
    }

    /// Returns true if `value` is of the setting's type. `null` leaves a setting as it is.
    pub(super) fn takes(&self, value: &Value) -> bool {
        value.is_null()
            || match self.kind {
                Kind::Whole => value.is_u64(),
                Kind::Number => value.is_number(),
                Kind::Switch => value.is_boolean(),
                Kind::Choice => self.choices.iter().any(|choice| *value == choice.name),
                Kind::Names | Kind::Texts => value.is_array(),
                Kind::Object => value.is_object(),
            }
    }

    /// The error for a value of another type.
    pub(super) fn wrong_type(&self, value: &Value) -> Error {
        if let Some(number) = value.as_f64() {
            let min = self.range.min.or_else(|| (self.kind == Kind::Whole).then_some(0.0));
            let range = Range { min, ..self.range };
            if !range.contains(number) {
                return self.out_of_range(number, range, None);
            }
        }
        let names: Vec<&str> = self.choices.iter().map(|choice| choice.name).collect();
        let expected = match self.kind {
            Kind::Whole => "a whole number, 0 or more".to_string(),
            Kind::Number => "a number".into(),
            Kind::Switch => "true or false".into(),
            Kind::Choice => format!("one of {}", names.join(", ")),
            Kind::Names | Kind::Texts => "a list of texts".into(),
            Kind::Object => "an object".into(),
        };
        let problem = format!("{value} is not {expected}");
        Error::config(self.key, problem, format!("use {expected}"))
    }

    /// Checks that `number` is in the range. The error suggests the usual values or, if none are declared, `default`.
    pub(super) fn check(&self, number: f64, default: Option<f64>) -> Result<()> {
        if self.range.contains(number) {
            return Ok(());
        }
        Err(self.out_of_range(number, self.range, default))
    }

    fn out_of_range(&self, number: f64, range: Range, default: Option<f64>) -> Error {
        let usual = match (self.usual, default) {
            ("", Some(default)) => default.to_string(),
            ("", None) => format!("a number of {range}"),
            (usual, _) => usual.to_string(),
        };
        let problem = if number.is_finite() && !(number as f32).is_finite() {
            format!("must be at most {:e}, since devices compute in f32, not {number:e}", f32::MAX)
        } else {
            format!("must be {}, not {number}", range.bound_against(number))
        };
        Error::config(self.key, problem, format!("use {usual}"))
    }
}

/// Kind, choices and number of a setting's type.
#[derive(Clone, Copy, Debug)]
pub struct Shape {
    kind: Kind,
    optional: bool,
    choices: &'static [Choice],
}

impl Shape {
    /// Returns the shape of a value of `kind`.
    pub const fn of(kind: Kind) -> Self {
        Self { kind, optional: false, choices: &[] }
    }

    /// Returns the shape of one of `choices`.
    pub const fn choice(choices: &'static [Choice]) -> Self {
        Self { kind: Kind::Choice, optional: false, choices }
    }
}

/// A type that settings can have.
pub trait SettingType {
    /// Kind and choices.
    const SHAPE: Shape;

    /// Returns the number that the range applies to, if there is one.
    fn number(&self) -> Option<f64> {
        None
    }
}

macro_rules! setting_type {
    ($($type:ty => $kind:ident, $value:ident => $number:expr;)+) => {$(
        impl SettingType for $type {
            const SHAPE: Shape = Shape::of(Kind::$kind);

            fn number(&self) -> Option<f64> {
                let $value = self;
                $number
            }
        }
    )+};
}

setting_type! {
    f64 => Number, value => Some(*value);
    u32 => Whole, value => Some(f64::from(*value));
    u64 => Whole, value => Some(*value as f64);
    usize => Whole, value => Some(*value as f64);
    bool => Switch, _value => None;
    Vec<String> => Names, _value => None;
}

impl<T: SettingType> SettingType for Option<T> {
    const SHAPE: Shape = Shape { optional: true, ..T::SHAPE };

    fn number(&self) -> Option<f64> {
        self.as_ref()?.number()
    }
}

/// Returns an error about the setting `key` unless `ok`.
pub fn require(ok: bool, key: &str, problem: impl Into<String>, remedy: &str) -> Result<()> {
    if ok { Ok(()) } else { Err(Error::config(key, problem, remedy)) }
}

/// Settings under a heading.
#[derive(Clone, Copy, Debug)]
pub struct Group {
    /// The heading.
    pub title: &'static str,
    /// All fields, also those that follow from others.
    pub fields: &'static [Setting],
}

impl Group {
    /// Returns the settings that people set, in the order in which they are shown.
    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> + use<> {
        self.fields.iter().filter(|field| !field.label.is_empty())
    }
}

/// A struct of settings; in JSON, one flat object.
pub trait Settings: Serialize + DeserializeOwned + Default {
    /// The settings of this struct, followed by those of the structs inside it.
    const GROUPS: &'static [Group];

    /// Refuses numbers outside the declared ranges.
    ///
    /// # Errors
    /// The first setting that is out of range.
    fn validate_ranges(&self) -> Result<()>;

    /// All settings in order.
    fn settings() -> impl Iterator<Item = &'static Setting> {
        Self::GROUPS.iter().flat_map(Group::settings)
    }

    /// These settings as a JSON object.
    fn to_map(&self) -> Map<String, Value> {
        match serde_json::to_value(self).expect("settings serialize") {
            Value::Object(map) => map,
            _ => unreachable!("structs are objects"),
        }
    }
}
