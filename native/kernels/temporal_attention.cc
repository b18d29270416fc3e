// The matrices are tiny (f x d) and there are very many of them, so every lane of a vector works on its own pixel and
// head: nothing is summed across lanes, and no lane idles whatever f and d are. Blocks of items are transposed on the way
// in and out, which reads and writes memory in contiguous runs.
#include "temporal_attention.h"

#include <algorithm>

#include "transpose.h"

namespace show1 {
namespace {

// Queries handled at once, which bounds the memory for the scores.
constexpr int kQueries = 16;
#if defined(SHOW1_AVX512)
constexpr int kTileColumns = 4;  // 16 accumulators of 32 registers
#else
constexpr int kTileColumns = 2;
#endif
constexpr int kTileRows = 4;

// A matrix of vectors with any strides.
struct Lanes {
  Vec *at;
  int64_t row;
  int64_t column;
};

template <int rows, int columns>
void Tile(int64_t depth, const Vec *a, int64_t a_row, int64_t a_depth, const Vec *b, int64_t b_depth, int64_t b_column,
          Vec *c, int64_t c_row, int64_t c_column, bool add) {
  Vec sum[rows][columns];
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) sum[i][j] = add ? c[i * c_row + j * c_column] : Vec{};
  for (int64_t t = 0; t < depth; ++t) {
    Vec right[columns];
    for (int j = 0; j < columns; ++j) right[j] = b[t * b_depth + j * b_column];
    for (int i = 0; i < rows; ++i) {
      const Vec left = a[t * a_depth + i * a_row];
      for (int j = 0; j < columns; ++j) sum[i][j] += left * right[j];
    }
  }
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j) c[i * c_row + j * c_column] = sum[i][j];
}

template <int rows>
void TileRow(int64_t depth, int64_t columns, Lanes a, Lanes b, Lanes c, bool add) {
  int64_t j = 0;
  const auto tile = [&](auto run) SHOW1_INLINE {
    run(depth, a.at, a.row, a.column, b.at + j * b.column, b.row, b.column, c.at + j * c.column, c.row, c.column, add);
  };
  for (; j + kTileColumns <= columns; j += kTileColumns) tile(Tile<rows, kTileColumns>);
  if (kTileColumns > 2 && columns - j == 3) return tile(Tile<rows, 3>);
  if (kTileColumns > 2 && columns - j == 2) return tile(Tile<rows, 2>);
  if (columns - j == 1) tile(Tile<rows, 1>);
}

// c [rows, columns] = (add ? c : 0) + a [rows, depth] b [depth, columns], lane by lane.
void Multiply(int64_t rows, int64_t columns, int64_t depth, Lanes a, Lanes b, Lanes c, bool add = false) {
  while (rows > 0) {
    const int64_t step = std::min<int64_t>(rows, kTileRows);
    const auto run = step == 4   ? TileRow<4>
                     : step == 3 ? TileRow<3>
                     : step == 2 ? TileRow<2>
                                 : TileRow<1>;
    run(depth, columns, a, b, c, add);
    a.at += step * a.row;
    c.at += step * c.row;
    rows -= step;
  }
}

// Base-2 softmax of each row of [rows, f].
void Softmax(int64_t rows, int64_t f, Vec *s) {
  for (; rows > 0; --rows, s += f) {
    Vec top = s[0];
    for (int64_t j = 1; j < f; ++j) top = Max(s[j], top);
    Vec sum{};
    for (int64_t j = 0; j < f; ++j) sum += s[j] = Exp2(s[j] - top);
    const Vec share = 1.0f / sum;
    for (int64_t j = 0; j < f; ++j) s[j] *= share;
  }
}

// How the items are dealt out: groups of kLanes items, several groups a task so that each frame is read in long runs.
class Groups {
 public:
  explicit Groups(const TemporalShape &shape)
      : shape_(shape), per_task_(std::max<int64_t>(1, 32 / shape.d)), groups_(CeilDiv(shape.items, kLanes)) {}

  int64_t per_task() const { return per_task_; }
  int64_t tasks() const { return shape_.b * TasksPerBatch(); }
  int64_t size() const { return shape_.f * shape_.d; }  // vectors of one group in one tensor

  // Calls step(group of the task, frame, offset of its first element, items in it), frames outermost.
  template <class Step>
  void Each(int64_t task, const Step &step) const {
    const int64_t b = task / TasksPerBatch(), first = task % TasksPerBatch() * per_task_;
    const int64_t count = Count(task);
    for (int64_t f = 0; f < shape_.f; ++f)
      for (int64_t g = 0; g < count; ++g) {
        const int64_t item = (first + g) * kLanes;
        step(g, f, ((b * shape_.f + f) * shape_.items + item) * shape_.d,
             static_cast<int>(std::min<int64_t>(kLanes, shape_.items - item)));
      }
  }
  int64_t Count(int64_t task) const { return std::min(per_task_, groups_ - task % TasksPerBatch() * per_task_); }

 private:
  int64_t TasksPerBatch() const { return CeilDiv(groups_, per_task_); }
  const TemporalShape &shape_;
  int64_t per_task_;
  int64_t groups_;
};

}  // namespace

void TemporalAttentionForward(const Workers &workers, const TemporalShape &shape, float scale, const float *q,
                              const float *k, const float *v, float *out) {
  const Groups groups(shape);
  const int64_t f = shape.f, d = shape.d, size = groups.size();
  const int queries = static_cast<int>(std::min<int64_t>(kQueries, f));
  workers.For(groups.tasks(), groups.per_task() * (2 * f * f * (d + 8) + 40 * f * d), [&](int64_t begin, int64_t end) {
    Scratch scratch((3 * groups.per_task() * size + queries * f) * kLanes + 64);
    const auto take = [&](int64_t vectors) { return reinterpret_cast<Vec *>(scratch.Take(vectors * kLanes)); };
    // The output of a group takes the place of its queries, block by block behind their last use.
    Vec *qs = take(groups.per_task() * size), *ks = take(groups.per_task() * size), *vs = take(groups.per_task() * size);
    Vec *s = take(queries * f);
    for (int64_t task = begin; task < end; ++task) {
      groups.Each(task, [&](int64_t g, int64_t frame, int64_t at, int items) {
        const int64_t to = g * size + frame * d;
        TransposeIn(q + at, d, items, d, scale * kLog2E, qs + to);
        TransposeIn(k + at, d, items, d, 1, ks + to);
        TransposeIn(v + at, d, items, d, 1, vs + to);
      });
      for (int64_t g = 0; g < groups.Count(task); ++g)
        for (int64_t i = 0; i < f; i += queries) {
          const int64_t rows = std::min<int64_t>(queries, f - i);
          Vec *block = qs + g * size + i * d;
          Multiply(rows, f, d, {block, d, 1}, {ks + g * size, 1, d}, {s, f, 1});
          Softmax(rows, f, s);
          Multiply(rows, d, f, {s, f, 1}, {vs + g * size, d, 1}, {block, d, 1});
        }
      groups.Each(task, [&](int64_t g, int64_t frame, int64_t at, int items) {
        TransposeOut(qs + g * size + frame * d, items, d, Splat(1), out + at, d);
      });
    }
  });
}

void TemporalAttentionBackward(const Workers &workers, const TemporalShape &shape, float scale, const float *dout,
                               const float *q, const float *k, const float *v, float *dq, float *dk, float *dv) {
  const Groups groups(shape);
  const int64_t f = shape.f, d = shape.d, size = groups.size(), per_task = groups.per_task();
  const int queries = static_cast<int>(std::min<int64_t>(kQueries, f));
  workers.For(groups.tasks(), per_task * (5 * f * f * (d + 8) + 80 * f * d), [&](int64_t begin, int64_t end) {
    Scratch scratch(((4 * per_task + 2) * size + queries * (2 * f + d)) * kLanes + 128);
    const auto take = [&](int64_t vectors) { return reinterpret_cast<Vec *>(scratch.Take(vectors * kLanes)); };
    Vec *qs = take(per_task * size), *ks = take(per_task * size), *vs = take(per_task * size);
    Vec *gs = take(per_task * size);
    Vec *dks = take(size), *dvs = take(size);
    Vec *p = take(queries * f), *ds = take(queries * f), *dqs = take(queries * d);
    for (int64_t task = begin; task < end; ++task) {
      groups.Each(task, [&](int64_t g, int64_t frame, int64_t at, int items) {
        const int64_t to = g * size + frame * d;
        TransposeIn(q + at, d, items, d, scale * kLog2E, qs + to);
        TransposeIn(k + at, d, items, d, 1, ks + to);
        TransposeIn(v + at, d, items, d, 1, vs + to);
        TransposeIn(dout + at, d, items, d, 1, gs + to);
      });
      for (int64_t g = 0; g < groups.Count(task); ++g) {
        Vec *qg = qs + g * size, *kg = ks + g * size, *vg = vs + g * size, *gg = gs + g * size;
        for (int64_t i = 0; i < f; i += queries) {
          const int64_t rows = std::min<int64_t>(queries, f - i);
          Multiply(rows, f, d, {qg + i * d, d, 1}, {kg, 1, d}, {p, f, 1});
          Softmax(rows, f, p);
          Multiply(rows, f, d, {gg + i * d, d, 1}, {vg, 1, d}, {ds, f, 1});
          for (int64_t r = 0; r < rows; ++r) {  // softmax backward: ds = p (dp - Σ p dp)
            Vec dot{};
            for (int64_t j = 0; j < f; ++j) dot += p[r * f + j] * ds[r * f + j];
            for (int64_t j = 0; j < f; ++j) ds[r * f + j] = p[r * f + j] * (ds[r * f + j] - dot);
          }
          Multiply(f, d, rows, {p, 1, f}, {gg + i * d, d, 1}, {dvs, d, 1}, i > 0);
          Multiply(f, d, rows, {ds, 1, f}, {qg + i * d, d, 1}, {dks, d, 1}, i > 0);
          Multiply(rows, d, f, {ds, f, 1}, {kg, d, 1}, {dqs, d, 1});
          std::copy(dqs, dqs + rows * d, qg + i * d);  // these queries are done
        }
        std::copy(dks, dks + size, kg);
        std::copy(dvs, dvs + size, vg);
      }
      groups.Each(task, [&](int64_t g, int64_t frame, int64_t at, int items) {
        const int64_t from = g * size + frame * d;
        TransposeOut(qs + from, items, d, Splat(scale), dq + at, d);
        TransposeOut(ks + from, items, d, Splat(kLn2), dk + at, d);  // its queries were scaled by scale · log2(e)
        TransposeOut(vs + from, items, d, Splat(1), dv + at, d);
      });
    }
  });
}

}  // namespace show1
