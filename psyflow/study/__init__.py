"""For those who come from psweep: its functions and words, on psyflow's engine.

Change ``import psweep as ps`` to ``import psyflow.study as ps``. See ``docs/study.md``.
"""

from psyflow.study.batch import prep_batch
from psyflow.study.extract import (
    check_calc_dir,
    df_extract_dicts,
    df_extract_params,
    df_extract_pset,
    filter_cols,
    flatten_dict,
)
from psyflow.study.frames import df_filter_conds, df_print, df_read, df_write
from psyflow.study.hashes import (
    PsweepHashError,
    filter_params_dup_hash,
    filter_params_unique,
    filter_same_hash,
    pset_hash,
)
from psyflow.study.params import (
    intspace,
    itr2params,
    logspace,
    merge_dicts,
    pgrid,
    plist,
    stargrid,
)
from psyflow.study.running import run, run_local

__all__ = [
    "PsweepHashError",
    "check_calc_dir",
    "df_extract_dicts",
    "df_extract_params",
    "df_extract_pset",
    "df_filter_conds",
    "df_print",
    "df_read",
    "df_write",
    "filter_cols",
    "filter_params_dup_hash",
    "filter_params_unique",
    "filter_same_hash",
    "flatten_dict",
    "intspace",
    "itr2params",
    "logspace",
    "merge_dicts",
    "pgrid",
    "plist",
    "prep_batch",
    "pset_hash",
    "run",
    "run_local",
    "stargrid",
]
