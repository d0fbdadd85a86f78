def test_a_keyword_is_shown_with_its_takes(enrolled, takes):
    result = enrolled("keywords", "show", "rise")
    assert result.code == 0
    assert all(str(path) in result.out for path in takes)
    assert "rise: 0.7" in result.out


def test_the_list_shows_encoder_rate_and_speaker(enrolled, stand_in):
    (row,) = [line for line in enrolled("keywords", "list").out.splitlines() if "rise" in line]
    assert all(text in row for text in ("0.5 per hour", stand_in.fingerprint[:12], "any"))


def test_a_shipped_encoder_is_listed_by_its_name():
    from earmark.cli.enrolled import encoder_label
    from earmark.models.encoder import load_encoder

    assert encoder_label(load_encoder("base").fingerprint) == "base"
    assert encoder_label("0123456789abcdef") == "0123456789ab"


def test_a_removed_keyword_is_gone(enrolled):
    assert enrolled("keywords", "remove", "rise").out == "removed 'rise'\n"
    again = enrolled("keywords", "remove", "rise")
    assert (again.code, again.err.count("\n")) == (2, 1)


def test_an_unknown_name_removes_nothing(enrolled):
    refused = enrolled("keywords", "remove", "rise", "fall")
    assert (refused.code, refused.out) == (2, "")
    assert "no keyword 'fall'" in refused.err
    assert "rise" in enrolled("keywords", "list").out


def test_keywords_travel_in_a_file(enrolled, tmp_path):
    parcel = tmp_path / "parcel.earmark"
    assert enrolled("keywords", "export", parcel).code == 0
    taken = enrolled("keywords", "import", parcel)
    assert (taken.code, taken.err.count("\n")) == (2, 1)
    assert all(option in taken.err for option in ("--replace", "--as"))
    assert enrolled("keywords", "import", parcel, "--as", "their rise").out == "imported 'their rise'\n"
    assert enrolled("keywords", "import", parcel, "--replace").code == 0
    again = enrolled("keywords", "export", parcel)
    assert (again.code, again.err.count("\n"), "--force" in again.err) == (2, 1, True)
    assert enrolled("keywords", "export", parcel, "--force", "--keyword", "rise").code == 0
    enrolled("keywords", "remove", "rise")
    assert enrolled("keywords", "import", parcel).out == "imported 'rise'\n"
    assert enrolled("keywords", "show", "rise").code == 0


def test_exporting_without_a_file_names_the_command(enrolled):
    for given, cure in (("rise", "earmark keywords export rise.earmark --keyword rise"), ("w", "name it w.earmark")):
        result = enrolled("keywords", "export", given)
        assert (result.code, result.err.count("\n")) == (2, 1)
        assert result.err.endswith(f"{cure}\n")


def test_exporting_an_unknown_keyword_suggests_a_known_one(enrolled, tmp_path):
    result = enrolled("keywords", "export", tmp_path / "parcel.earmark", "--keyword", "ries")
    assert result.code == 2
    assert "did you mean 'rise'?" in result.err
