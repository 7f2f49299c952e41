//! Macros that declare structs of settings and enums of choices, with everything that edges need to know of each.

/// Declares a struct of settings.
///
/// Each field has a doc comment and a default. One that people set also has a label and, after it, whichever other fields
/// of [`Setting`] apply. Structs named under `groups` are flattened into the JSON object.
macro_rules! settings {
    (
        $(#[doc = $struct_doc:literal])+
        pub struct $name:ident ($title:literal) {
            $(
                $(#[doc = $doc:literal])+
                $(#[serde(rename = $key:tt)])?
                $field:ident: $type:ty = $default:expr $(=> $details:tt)?
            ),+ $(,)?
        }
        $(groups {
            $(
                $(#[doc = $group_doc:literal])+
                $group:ident: $group_type:ty
            ),+ $(,)?
        })?
    ) => {
        $(#[doc = $struct_doc])+
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        #[serde(default)]
        pub struct $name {
            $(
                $(#[doc = $doc])+
                $(#[serde(rename = $key)])?
                pub $field: $type,
            )+
            $($(
                $(#[doc = $group_doc])+
                #[serde(flatten)]
                pub $group: $group_type,
            )+)?
        }

        impl Default for $name {
            fn default() -> Self {
                Self {
                    $($field: $default,)+
                    $($($group: Default::default(),)+)?
                }
            }
        }

        impl $crate::config::setting::Settings for $name {
            const GROUPS: &'static [$crate::config::setting::Group] = &[
                $crate::config::setting::Group {
                    title: $title,
                    fields: &[$($crate::config::declare::declaration!(
                        $crate::config::declare::key!($field $($key)?),
                        concat!($($doc),+),
                        $type
                        $(, $details)?
                    ),)+],
                },
                $($(<$group_type as $crate::config::setting::Settings>::GROUPS[0],)+)?
            ];

            fn validate_ranges(&self) -> $crate::error::Result<()> {
                use $crate::config::setting::SettingType;
                let default = Self::default();
                let numbers = [$((self.$field.number(), default.$field.number()),)+];
                for (setting, (number, default)) in Self::GROUPS[0].fields.iter().zip(numbers) {
                    if let Some(number) = number {
                        setting.check(number, default)?;
                    }
                }
                $($(self.$group.validate_ranges()?;)+)?
                Ok(())
            }
        }
    };
}

/// The declaration of one field.
macro_rules! declaration {
    ($key:expr, $doc:expr, $type:ty) => {
        $crate::config::setting::Setting::new(
            $key,
            $doc,
            <$type as $crate::config::setting::SettingType>::SHAPE,
        )
    };
    ($key:expr, $doc:expr, $type:ty, { $($detail:ident: $value:expr),+ $(,)? }) => {
        $crate::config::setting::Setting {
            $($detail: $value,)+
            ..$crate::config::declare::declaration!($key, $doc, $type)
        }
    };
}

/// Key of a field: its name in JSON if there is one, else the field's.
macro_rules! key {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $key:tt) => {
        $key
    };
}

/// Declares an enum whose variants are the values of a choice: name in JSON, label in the form.
macro_rules! choices {
    (
        $(#[doc = $enum_doc:literal])+
        pub enum $name:ident {
            $(
                $(#[doc = $doc:literal])+
                $variant:ident = $key:tt, $label:literal
            );+ $(;)?
        }
    ) => {
        $(#[doc = $enum_doc])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        #[cfg_attr(test, derive(ts_rs::TS))]
        pub enum $name {
            $(
                $(#[doc = $doc])+
                #[serde(rename = $key)]
                $variant,
            )+
        }

        impl $crate::config::setting::SettingType for $name {
            const SHAPE: $crate::config::setting::Shape = $crate::config::setting::Shape::choice(&[
                $($crate::config::setting::Choice { name: $key, label: $label, doc: concat!($($doc),+) },)+
            ]);
        }
    };
}

pub(super) use {choices, declaration, key, settings};
