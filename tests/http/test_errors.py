"""The table from errors to answers."""

import pytest

from service import errors
from service.http.errors import CLIENT_LEFT, TABLE, problem_of


def _tree(root: type[errors.ServiceError]) -> set[type[errors.ServiceError]]:
    return {root}.union(*(_tree(child) for child in root.__subclasses__()))


def test_the_table_knows_every_service_error_and_nothing_else() -> None:
    own = {cls for cls in _tree(errors.ServiceError) if cls.__module__ == errors.__name__}
    assert set(TABLE) == own - {errors.ServiceError}


def test_statuses_and_slugs_tell_the_errors_apart() -> None:
    assert len({kind.status for kind in TABLE.values()}) == len(TABLE)
    assert len({kind.slug for kind in TABLE.values()}) == len(TABLE)


@pytest.mark.parametrize("status", [kind.status for kind in TABLE.values()])
def test_every_status_is_an_error(status: int) -> None:
    assert 400 <= status < 600
    assert (status == CLIENT_LEFT) == (TABLE[errors.Cancelled].status == status)


def test_a_refinement_of_an_error_is_answered_like_it() -> None:
    class TooManyPixels(errors.PayloadTooLarge):
        pass

    assert problem_of(TooManyPixels("smaller, please")).status == 413
