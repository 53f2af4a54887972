"""Simulated headers, translated back by the instrument's own header map."""

from __future__ import annotations

import pytest

from cpp_framework.camera.catalogue import load_instrument
from cpp_framework.camera.instrument import Instrument
from cpp_framework.camera.reader import read_exposures
from cpp_framework.errors import InstrumentError
from cpp_framework.model.timespan import to_tai_ns
from cpp_framework.sim import ExposureRequest, simulate

AMP = {"name": "A", "hdu": 0, "data": "[1:32,1:16]", "detector": "[1:32,1:16]", "serial_overscan": "[33:40,1:16]"}
DETECTOR = {"id": 0, "name": "D", "size": (32, 16), "amplifiers": [AMP]}
ODD = {
    "kind": {
        "rules": [
            {"when": {"OBSTYPE": "DARK", "EXPTIME": "<=0.1"}, "value": "bias"},
            {"when": {"OBSTYPE": ["FLAT", "DOME"], "SHUTTER": None}, "value": "flat"},
            {"when": {"OBJECT": "~^sky"}, "value": "science"},
        ],
        "keyword": "OBSTYPE",
        "map": {"DARK": "dark"},
        "default": "other",
    },
    "instrument": {"keyword": "INSTRUME", "expect": ["odd camera"]},
    "exposure_time": {"keyword": "EXPTIME", "scale": 0.001},
    "begin": {"keyword": ["DATE-BEG", "DATE-OBS"], "time_scale": "tai"},
    "end": "DATE-END",
    "filter": {"keyword": ["FILTER", "GRATING"], "join": "~"},
    "binning": {"keyword": ["XBIN", "YBIN"], "join": " "},
    "temperature": {"keyword": "ESO DET TEMP", "offset": -273.15},
}


def odd_camera(**header):
    return Instrument.model_validate({"name": "odd", "detectors": [DETECTOR], "header": {**ODD, **header}})


def read_back(instrument, request, folder):
    path = folder / "sim_0042.fits"
    simulate(instrument, 0, request).hdus.writeto(path)
    (exposure,) = read_exposures(path, instrument)
    return exposure


@pytest.mark.parametrize("kind", ["bias", "dark", "flat", "science"])
def test_simcam_reads_what_was_asked_for(simcam, tmp_path, kind):
    seconds = 0.0 if kind == "bias" else 12.5
    request = ExposureRequest(kind=kind, number=17, exposure_time=seconds, filter="r", temperature=-95.0)
    exposure = read_back(simcam, request, tmp_path)
    assert (exposure.kind, exposure.number, exposure.exposure_time) == (kind, 17, seconds)
    assert (exposure.begin, exposure.end) == (request.begin_ns, request.end_ns)
    assert (exposure.filter, exposure.temperature, exposure.dark_time) == ("r", -95.0, seconds)
    assert exposure.id == f"SIM_{request.day_obs}_000017"


@pytest.mark.parametrize("kind", ["bias", "dark", "flat", "science", "other"])
def test_conditional_rules_scales_and_joins_are_inverted(tmp_path, kind):
    seconds = 0.0 if kind == "bias" else 2.5
    request = ExposureRequest(kind=kind, number=3, exposure_time=seconds, filter="r~empty", temperature=-20.0)
    exposure = read_back(odd_camera(), request, tmp_path)
    assert (exposure.kind, exposure.exposure_time) == (kind, seconds)
    assert (exposure.begin, exposure.end) == (request.begin_ns, request.end_ns)
    assert (exposure.filter, exposure.binning) == ("r~empty", (1, 1))
    assert exposure.temperature == pytest.approx(-20.0)
    assert exposure.number == 42, "the map has no number: it comes from the file name"


def test_a_latiss_header_reads_back(tmp_path):
    latiss = load_instrument("latiss")
    small = latiss.model_copy(
        update={"detectors": Instrument.model_validate({"name": "s", "detectors": [DETECTOR]}).detectors}
    )
    request = ExposureRequest(kind="flat", number=5, exposure_time=4.0, filter="SDSSr_65mm", light=10.0)
    exposure = read_back(small, request, tmp_path)
    assert (exposure.kind, exposure.day_obs, exposure.filter) == ("flat", request.day_obs, "SDSSr_65mm")
    assert exposure.number == int(f"{request.day_obs}000005")


def test_a_camera_without_dates_has_exposures_without_dates(tmp_path):
    exposure = read_back(odd_camera(begin=None, end=None), ExposureRequest(), tmp_path)
    assert (exposure.begin, exposure.end, exposure.day_obs) == (None, None, None)


def test_a_header_map_that_cannot_say_it_is_refused():
    camera = odd_camera(kind={"const": "bias"})
    with pytest.raises(InstrumentError, match=r"header.kind cannot be written .* asked for 'flat', read back 'bias'"):
        _ = simulate(camera, 0, ExposureRequest(kind="flat")).hdus


def test_exposures_follow_each_other_from_a_fixed_date():
    requests = [ExposureRequest(number=n, exposure_time=30.0) for n in (1, 2, 3)]
    assert requests[0].begin_ns == to_tai_ns("2026-11-22T20:00:00", "tai")
    assert requests[0].end_ns < requests[1].begin_ns < requests[1].end_ns < requests[2].begin_ns
