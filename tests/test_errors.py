import pickle

from workbench.errors import InputError, WorkbenchError


def test_errors_cross_process_borders_whole():
    error = pickle.loads(pickle.dumps(InputError("the text is empty", "pass a text")))
    assert isinstance(error, InputError)
    assert (error.what, error.remedy, error.exit_code) == ("the text is empty", "pass a text", 2)


def test_message_holds_what_and_remedy():
    assert str(WorkbenchError("this", "do that")) == "this\n  → do that"
    assert str(WorkbenchError("this")) == "this"
