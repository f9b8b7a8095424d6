import numpy as np
import pytest

from selection.contract import BadParameter, BadVector
from selection.kernels import cosine
from selection.kernels.cosine import nearest_by_cosine
from selection.kernels.graph import SparseGraph, knn_graph


def draw(n: int, d: int = 12) -> np.ndarray:
    return np.random.default_rng(n).normal(size=(n, d)).astype(np.float32)


def by_definition(features: np.ndarray, k: int, power: float = 3.0) -> np.ndarray:
    """S as a dense matrix in float64, straight from the definition (no projection: d is small)."""
    x = features.astype(np.float64)
    x = (x - x.mean(0)) / x.std(0)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    cosine = unit @ unit.T
    np.fill_diagonal(cosine, -np.inf)
    near = np.argsort(-cosine, axis=1, kind="stable")[:, :k]
    w = np.zeros_like(cosine)
    np.put_along_axis(w, near, np.maximum(np.take_along_axis(cosine, near, 1), 0) ** power, 1)
    w = np.maximum(w, w.T)
    root = 1 / np.sqrt(w.sum(1))
    return w * root[:, None] * root[None]


def dense(graph: SparseGraph) -> np.ndarray:
    return graph.propagate(np.eye(len(graph), dtype=np.float32))


@pytest.mark.parametrize("n", [17, 100, 700])
def test_the_matrix_is_the_definitions(n: int) -> None:
    graph = knn_graph(draw(n), k=5)
    np.testing.assert_allclose(dense(graph), by_definition(draw(n), 5), atol=2e-6)


def test_the_grouped_top_k_finds_what_a_sort_finds() -> None:
    x = draw(3000)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    rows, cosines = nearest_by_cosine(unit[:50], unit, 7)
    np.testing.assert_array_equal(rows, np.argsort(-(unit[:50] @ unit.T), axis=1)[:, :7])
    assert (rows[:, 0] == np.arange(50)).all()
    np.testing.assert_allclose(cosines[:, 0], 1, atol=1e-6)


def test_columns_in_several_tiles_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = knn_graph(draw(700), k=5)
    monkeypatch.setattr(cosine, "_COLUMNS", 96)
    monkeypatch.setattr(cosine, "_QUERIES", 50)
    np.testing.assert_array_equal(knn_graph(draw(700), k=5).indices, whole.indices)


def test_the_projection_keeps_the_leading_directions() -> None:
    rng = np.random.default_rng(0)
    x = (rng.normal(size=(400, 4)) @ rng.normal(size=(4, 60))).astype(np.float32)  # of rank 4
    whole, cut = knn_graph(x, k=5, dims=60), knn_graph(x, k=5, dims=4)
    np.testing.assert_array_equal(whole.indices, cut.indices)
    assert cut.unit.shape == (400, 4)


def test_a_copy_is_a_neighbour_of_weight_one_and_never_the_row_itself() -> None:
    x = draw(60)
    x[7] = x[41]
    graph = knn_graph(x, k=3)
    assert graph.indices[7, 0] == 41
    assert graph.weights[7, 0] == pytest.approx(1, abs=1e-5)
    assert not (graph.indices == np.arange(60)[:, None]).any()


@pytest.mark.parametrize("n", [1, 2, 3])
def test_few_rows_have_few_neighbours(n: int) -> None:
    graph = knn_graph(draw(n), k=15)
    assert graph.indices.shape == (n, n - 1)
    assert np.isfinite(dense(graph)).all()


def test_rows_that_are_all_equal_give_an_empty_graph() -> None:
    graph = knn_graph(np.ones((9, 4), np.float32), k=3)
    assert len(graph.values) == 0
    assert not graph.propagate(np.ones((9, 2), np.float32)).any()


def test_a_later_row_is_attached_to_its_nearest_pool_rows() -> None:
    x = draw(300)
    graph = knn_graph(x, k=4)
    rows, weights = graph.attach(x[[5, 250]])
    assert rows[:, 0].tolist() == [5, 250]
    np.testing.assert_array_equal(rows[:, 1:], graph.indices[[5, 250], :3])
    np.testing.assert_allclose(weights[:, 0], 1, atol=1e-5)


def test_half_precision_and_read_only_features_serve() -> None:
    x = draw(200).astype(np.float16)
    x.flags.writeable = False
    assert knn_graph(x, k=5).indices.shape == (200, 5)


def test_a_row_that_is_not_finite_is_named() -> None:
    x = draw(20)
    x[13, 2] = np.nan
    with pytest.raises(BadVector, match="row 13"):
        knn_graph(x)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"dims": 0}, {"power": 0.0}])
def test_parameters_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadParameter):
        knn_graph(draw(20), **wrong)
