//! The page's types, www/types.ts, written from the structs of this module.

use super::*;
use crate::check::{CheckReport, Comparison, GoldenCase};
use crate::config::*;
use crate::objective::Format;
use crate::platform::{DeviceInfo, KernelTime, ProfileReport, Room};
use crate::sample::DraftStats;
use crate::tokenizer::{Message, Role};

/// Checks that `www/types.ts` matches these structs; `cargo xtask types` regenerates it.
#[test]
fn typescript_types_are_up_to_date() {
    let config = ts_rs::Config::new().with_large_int("number");
    let mut text =
        String::from("// Generated from src/protocol by `cargo xtask types`; not to be edited.\n");
    macro_rules! declare {
        ($($name:ty),* $(,)?) => {
            $(text += &format!("\nexport {}\n", <$name as ts_rs::TS>::decl(&config));)*
        };
    }
    declare!(
        PositionEmbedding,
        NormKind,
        HiddenAct,
        InitScheme,
        RopeType,
        RopeScaling,
        EndTokens,
        ModelConfig,
        Accumulation,
        OptimizerKind,
        Precision,
        ScheduleKind,
        TrainConfig,
        DataKind,
        DataOrder,
        DataConfig,
        SampleConfig,
        Role,
        Message,
        Estimate,
        PresetInfo,
        ExampleInfo,
        FoundText,
        Explanation,
        GoldenCase,
        RunConfig,
        GivenSettings,
        FormSettings,
        NamedFile,
        Curve,
        LiveSample,
        History,
        Draft,
        Speculation,
        DraftStats,
        Command,
        Token,
        Part,
        Candidate,
        Drawn,
        Likely,
        LensCell,
        Inspection,
        Promoted,
        Circuit,
        NeuronReport,
        CacheReport,
        AnswerReport,
        PairReport,
        TokenizerReport,
        Merge,
        Stage,
        TensorStats,
        TensorReport,
        ActivationReport,
        Query,
        Answer,
        DeviceInfo,
        Room,
        RunSummary,
        RunInfo,
        MetricInfo,
        Format,
        StepEvent,
        Comparison,
        CheckReport,
        KernelTime,
        ProfileReport,
        Event,
    );
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/www/types.ts");
    if std::env::var_os("UPDATE_TYPES").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let there = std::fs::read_to_string(path).unwrap_or_default();
    assert!(there == text, "www/types.ts is out of date: run `cargo xtask types`");
}
