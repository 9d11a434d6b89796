// Kernels of hwsim.training.native: 3x3 convolutions by Winograd's minimal filtering (Lavin, Gray 2016; Winograd 1980), their
// exact adjoints, and the quantising staircase, in float32 on the CPU. Arrays and integers only; shapes are checked in Python.
//
// Images are (N, H, W, C) in memory (channels last), C a multiple of 16, H and W multiples of the output tile m (4 or 2).
// An output tile of m x m sees s x s inputs, s = m + 2, so there are s*s "frequencies". Transformed data are kept as panels
// [frequency][channel / 16][tile][16], so that every inner loop runs over 16 neighbours in memory.
//
//   forward    V = B' d B, M = V U, y = A' M A,  U = G w G'
//   backward   W = A dy A', dU = V' W, dV = W U', dx = B dV B' (overlapping tiles are added), dw = G' dU G
#include <algorithm>
#include <condition_variable>
#include <cstdint>
#include <cstring>
#include <functional>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

namespace {

#ifdef __AVX512F__
constexpr int LANES = 16;
#else
constexpr int LANES = 8;
#endif
typedef float vec __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));
constexpr int PANEL = 16, VECS = PANEL / LANES;
constexpr int ROWS = LANES == 16 ? 16 : 6;  // rows of a product at a time: as many as the vector registers hold

inline vec load(const float* p) { return *reinterpret_cast<const vec*>(p); }
inline void store(float* p, vec v) { *reinterpret_cast<vec*>(p) = v; }

template <int R, int S> struct Matrix { float at[R][S]; };
template <int R, int S> constexpr Matrix<S, R> transposed(const Matrix<R, S>& a) {
    Matrix<S, R> b{};
    for (int i = 0; i < R; i++) for (int j = 0; j < S; j++) b.at[j][i] = a.at[i][j];
    return b;
}

// The matrices of F(m x m, 3 x 3) for the interpolation points 0, 1, -1, 2, -2 (m = 4) and 0, 1, -1 (m = 2).
template <int M> struct Filter;
template <> struct Filter<4> {
    static constexpr int S = 6;
    static constexpr Matrix<6, 6> BT{{{4, 0, -5, 0, 1, 0}, {0, -4, -4, 1, 1, 0}, {0, 4, -4, -1, 1, 0},
                                      {0, -2, -1, 2, 1, 0}, {0, 2, -1, -2, 1, 0}, {0, 4, 0, -5, 0, 1}}};
    static constexpr Matrix<6, 3> G{{{1 / 4.f, 0, 0}, {-1 / 6.f, -1 / 6.f, -1 / 6.f}, {-1 / 6.f, 1 / 6.f, -1 / 6.f},
                                     {1 / 24.f, 1 / 12.f, 1 / 6.f}, {1 / 24.f, -1 / 12.f, 1 / 6.f}, {0, 0, 1}}};
    static constexpr Matrix<4, 6> AT{{{1, 1, 1, 1, 1, 0}, {0, 1, -1, 2, -2, 0}, {0, 1, 1, 4, 4, 0}, {0, 1, -1, 8, -8, 1}}};
    static constexpr auto A = transposed(AT);
    static constexpr auto B = transposed(BT);
    static constexpr auto GT = transposed(G);
};
template <> struct Filter<2> {
    static constexpr int S = 4;
    static constexpr Matrix<4, 4> BT{{{1, 0, -1, 0}, {0, 1, 1, 0}, {0, -1, 1, 0}, {0, 1, 0, -1}}};
    static constexpr Matrix<4, 3> G{{{1, 0, 0}, {.5f, .5f, .5f}, {.5f, -.5f, .5f}, {0, 0, 1}}};
    static constexpr Matrix<2, 4> AT{{{1, 1, 1, 0}, {0, 1, -1, -1}}};
    static constexpr auto A = transposed(AT);
    static constexpr auto B = transposed(BT);
    static constexpr auto GT = transposed(G);
};

// out = a in a', each entry a vector of channels. The coefficients are constants, so zeros and ones cost nothing.
template <int R, int S>
inline __attribute__((always_inline)) void both_sides(const Matrix<R, S>& a, const vec (&in)[S][S], vec (&out)[R][R]) {
    vec half[R][S];
#pragma GCC unroll 8
    for (int i = 0; i < R; i++)
#pragma GCC unroll 8
        for (int j = 0; j < S; j++) {
            vec sum{};
#pragma GCC unroll 8
            for (int k = 0; k < S; k++) if (a.at[i][k] != 0) sum += a.at[i][k] * in[k][j];
            half[i][j] = sum;
        }
#pragma GCC unroll 8
    for (int i = 0; i < R; i++)
#pragma GCC unroll 8
        for (int j = 0; j < R; j++) {
            vec sum{};
#pragma GCC unroll 8
            for (int k = 0; k < S; k++) if (a.at[j][k] != 0) sum += a.at[j][k] * half[i][k];
            out[i][j] = sum;
        }
}

// c[r][0:16] (+)= sum over panels and k of a[r, k] * b[k][0:16], rows r < R held in registers.
template <int R, int ROW, int STEP, bool ADD>
inline void product(const float* a, int64_t panels, int64_t panel_stride, int64_t steps, const float* b, float* c) {
    vec sum[R][VECS];
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++) sum[r][v] = ADD ? load(c + r * PANEL + v * LANES) : vec{};
    for (int64_t p = 0; p < panels; p++, a += panel_stride) {
        const float* at = a;
#pragma GCC unroll 4
        for (int64_t k = 0; k < steps; k++, at += STEP, b += PANEL) {
            vec right[VECS];
#pragma GCC unroll 2
            for (int v = 0; v < VECS; v++) right[v] = load(b + v * LANES);
#pragma GCC unroll 16
            for (int r = 0; r < R; r++)
#pragma GCC unroll 2
                for (int v = 0; v < VECS; v++) sum[r][v] += at[r * ROW] * right[v];
        }
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; r++)
#pragma GCC unroll 2
        for (int v = 0; v < VECS; v++) store(c + r * PANEL + v * LANES, sum[r][v]);
}

template <int ROW, int STEP, bool ADD>
void rows(int64_t count, const float* a, int64_t panels, int64_t panel_stride, int64_t steps, const float* b, float* c) {
    int64_t r = 0;
    for (; r + ROWS <= count; r += ROWS) product<ROWS, ROW, STEP, ADD>(a + r * ROW, panels, panel_stride, steps, b, c + r * PANEL);
    for (; r + 4 <= count; r += 4) product<4, ROW, STEP, ADD>(a + r * ROW, panels, panel_stride, steps, b, c + r * PANEL);
    for (; r < count; r++) product<1, ROW, STEP, ADD>(a + r * ROW, panels, panel_stride, steps, b, c + r * PANEL);
}

// How far apart frequencies lie: not by a multiple of 4 KiB for the usual powers of two, or all would fall into one set of the cache.
constexpr int64_t apart(int64_t size) { return size + PANEL; }

// out[f][o / 16][tile][16] = in[f][c / 16][tile][16] times u[f][o / 16][c][16].
void channels_product(int64_t frequencies, int64_t tiles, int64_t c, int64_t o, const float* in, const float* u, float* out) {
    for (int64_t f = 0; f < frequencies; f++)
        for (int64_t p = 0; p < o / PANEL; p++)
            rows<PANEL, 1, false>(tiles, in + f * apart(c * tiles), c / PANEL, tiles * PANEL, PANEL,
                           u + f * apart(c * o) + p * PANEL * c, out + f * apart(o * tiles) + p * PANEL * tiles);
}

// u[f][o / 16][c][16] += the sum over tiles of v times w.
void tiles_product(int64_t frequencies, int64_t tiles, int64_t c, int64_t o, const float* v, const float* w, float* u) {
    for (int64_t f = 0; f < frequencies; f++)
        for (int64_t p = 0; p < o / PANEL; p++)
            for (int64_t q = 0; q < c / PANEL; q++)
                rows<1, PANEL, true>(PANEL, v + f * apart(c * tiles) + q * PANEL * tiles, 1, 0, tiles,
                               w + f * apart(o * tiles) + p * PANEL * tiles,
                               u + f * apart(c * o) + (p * c + q * PANEL) * PANEL);
}

struct Grid {
    int64_t images, h, w, c, down, across;  // down, across: tiles of an image
    int64_t tiles() const { return images * down * across; }
};

// Where channel c of a tile lies in panels of `tiles` tiles; each of the S x S values of a tile lies `next` after the one before.
inline int64_t in_panels(int64_t tiles, int64_t tile, int64_t c) { return ((c / PANEL) * tiles + tile) * PANEL + c % PANEL; }

template <int S> inline void load_square(const float* from, int64_t next, vec (&in)[S][S]) {
    for (int i = 0; i < S; i++) for (int j = 0; j < S; j++) in[i][j] = load(from + (i * S + j) * next);
}

template <int S> inline void store_square(float* to, int64_t next, const vec (&out)[S][S]) {
    for (int i = 0; i < S; i++) for (int j = 0; j < S; j++) store(to + (i * S + j) * next, out[i][j]);
}

// Calls visit(image, first output row, first output column, channel, where in panels, next) for LANES channels of every tile;
// each of a tile's values in panels lies `next` after the one before.
template <int M, class Visit> inline void each_tile(const Grid& g, Visit visit) {
    const int64_t tiles = g.tiles(), next = apart(g.c * tiles);
    int64_t tile = 0;
    for (int64_t n = 0; n < g.images; n++)
        for (int64_t y = 0; y < g.h; y += M)
            for (int64_t x = 0; x < g.w; x += M, tile++)
                for (int64_t c = 0; c < g.c; c += LANES) visit(n, y, x, c, in_panels(tiles, tile, c), next);
}

// Panels of B' d B, d the inputs under each output tile, zero beyond the border.
template <int M> void inputs_in(const Grid& g, const float* image, float* v) {
    constexpr int S = Filter<M>::S;
    each_tile<M>(g, [&](int64_t n, int64_t y, int64_t x, int64_t c, int64_t at, int64_t next) {
        const bool whole = y > 0 && x > 0 && y + M < g.h && x + M < g.w;
        const float* corner = image + ((n * g.h + y - 1) * g.w + x - 1) * g.c + c;
        vec d[S][S], out[S][S];
        if (whole) {
#pragma GCC unroll 8
            for (int i = 0; i < S; i++)
#pragma GCC unroll 8
                for (int j = 0; j < S; j++) d[i][j] = load(corner + (i * g.w + j) * g.c);
        } else {
            for (int i = 0; i < S; i++)
                for (int j = 0; j < S; j++) {
                    const int64_t row = y + i - 1, column = x + j - 1;
                    const bool inside = row >= 0 && row < g.h && column >= 0 && column < g.w;
                    d[i][j] = inside ? load(corner + (i * g.w + j) * g.c) : vec{};
                }
        }
        both_sides(Filter<M>::BT, d, out);
        store_square(v + at, next, out);
    });
}

// The adjoint of inputs_in: adds B v B' into the image, which must be zero before.
template <int M> void inputs_out(const Grid& g, const float* v, float* image) {
    constexpr int S = Filter<M>::S;
    each_tile<M>(g, [&](int64_t n, int64_t y, int64_t x, int64_t c, int64_t at, int64_t next) {
        vec in[S][S], out[S][S];
        load_square(v + at, next, in);
        both_sides(Filter<M>::B, in, out);
        for (int i = 0; i < S; i++)
            for (int j = 0; j < S; j++) {
                const int64_t row = y + i - 1, column = x + j - 1;
                if (row < 0 || row >= g.h || column < 0 || column >= g.w) continue;
                float* to = image + ((n * g.h + row) * g.w + column) * g.c + c;
                store(to, load(to) + out[i][j]);
            }
    });
}

// The image of A' m A, tile by tile.
template <int M> void outputs_out(const Grid& g, const float* m, float* image) {
    constexpr int S = Filter<M>::S;
    each_tile<M>(g, [&](int64_t n, int64_t y, int64_t x, int64_t c, int64_t at, int64_t next) {
        vec in[S][S], out[M][M];
        load_square(m + at, next, in);
        both_sides(Filter<M>::AT, in, out);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < M; j++) store(image + ((n * g.h + y + i) * g.w + x + j) * g.c + c, out[i][j]);
    });
}

// The adjoint of outputs_out: panels of A dy A'.
template <int M> void outputs_in(const Grid& g, const float* image, float* w) {
    constexpr int S = Filter<M>::S;
    each_tile<M>(g, [&](int64_t n, int64_t y, int64_t x, int64_t c, int64_t at, int64_t next) {
        vec in[M][M], out[S][S];
        for (int i = 0; i < M; i++)
            for (int j = 0; j < M; j++) in[i][j] = load(image + ((n * g.h + y + i) * g.w + x + j) * g.c + c);
        both_sides(Filter<M>::A, in, out);
        store_square(w + at, next, out);
    });
}

// u[f][o / 16][c][16] = G w G' of weights w[3][3][c][o].
template <int M> void weights_in(int64_t c, int64_t o, const float* w, float* u, int64_t first, int64_t last) {
    constexpr int S = Filter<M>::S;
    for (int64_t k = first; k < last; k++)
        for (int64_t j = 0; j < o; j += LANES) {
            vec in[3][3], out[S][S];
            for (int a = 0; a < 3; a++) for (int b = 0; b < 3; b++) in[a][b] = load(w + ((a * 3 + b) * c + k) * o + j);
            both_sides(Filter<M>::G, in, out);
            store_square(u + in_panels(c, k, j), apart(c * o), out);
        }
}

// The adjoint of weights_in, of the sum of `parts` arrays u.
template <int M>
void weights_out(int64_t c, int64_t o, const std::vector<float*>& parts, float* w, int64_t first, int64_t last) {
    constexpr int S = Filter<M>::S;
    for (int64_t k = first; k < last; k++)
        for (int64_t j = 0; j < o; j += LANES) {
            vec in[S][S], out[3][3];
            const int64_t from = in_panels(c, k, j);
            for (int a = 0; a < S; a++)
                for (int b = 0; b < S; b++) {
                    vec sum{};
                    for (const float* part : parts) sum += load(part + from + (a * S + b) * apart(c * o));
                    in[a][b] = sum;
                }
            both_sides(Filter<M>::GT, in, out);
            for (int a = 0; a < 3; a++) for (int b = 0; b < 3; b++) store(w + ((a * 3 + b) * c + k) * o + j, out[a][b]);
        }
}

// Scratch that is kept from call to call, so that the system need not find and clear pages each time. One caller at a time.
std::mutex busy;
constexpr int64_t MOST_THREADS = 64;
enum Use { FIRST, SECOND, WEIGHTS, SUMS, USES };

float* scratch(int64_t thread, Use use, int64_t size) {
    static std::vector<float> kept[MOST_THREADS][USES];
    std::vector<float>& mine = kept[thread][use];
    if ((int64_t)mine.size() < size) mine.resize(size);
    return mine.data();
}

// Threads that wait for work from call to call: new ones for every call would start late, and often on a busy processor.
class Workers {
public:
    // Calls work(0) here and work(1) ... work(count - 1) on other threads; returns when all have.
    void run(int64_t count, const std::function<void(int64_t)>& work) {
        const std::lock_guard<std::mutex> one_caller(calling_);
        int64_t there = 1;
        {
            const std::lock_guard<std::mutex> lock(mutex_);
            try {
                while ((int64_t)threads_.size() < count - 1)
                    threads_.emplace_back(&Workers::wait_and_work, this, threads_.size() + 1, turn_);
            } catch (const std::system_error&) {  // no more threads to be had: this one does their part
            }
            there = std::min<int64_t>(count, threads_.size() + 1);
            work_ = &work;
            wanted_ = there;
            left_ = there - 1;
            turn_++;
        }
        begin_.notify_all();
        work(0);
        for (int64_t rest = there; rest < count; rest++) work(rest);
        std::unique_lock<std::mutex> lock(mutex_);
        end_.wait(lock, [&] { return left_ == 0; });
    }

private:
    void wait_and_work(int64_t index, int64_t seen) {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            begin_.wait(lock, [&] { return turn_ != seen; });
            seen = turn_;
            if (index >= wanted_) continue;
            const auto* work = work_;
            lock.unlock();
            (*work)(index);
            lock.lock();
            if (--left_ == 0) end_.notify_one();
        }
    }

    std::mutex calling_, mutex_;
    std::condition_variable begin_, end_;
    std::vector<std::thread> threads_;
    const std::function<void(int64_t)>* work_ = nullptr;
    int64_t wanted_ = 0, left_ = 0, turn_ = 0;
};

// Never destroyed: its threads wait until the process ends.
Workers& workers() {
    static Workers* all = new Workers;
    return *all;
}

// How many parts `threads` threads cut `count` things into.
int64_t parts_of(int64_t threads, int64_t count) { return std::max<int64_t>(1, std::min({threads, count, MOST_THREADS})); }

// Runs work(thread, first, last) on equal parts of 0..count.
template <class Work> void share(int64_t threads, int64_t count, Work work) {
    threads = parts_of(threads, count);
    if (threads == 1) return work(0, 0, count);
    workers().run(threads, [&](int64_t t) { work(t, count * t / threads, count * (t + 1) / threads); });
}

// Images at once: enough tiles for long inner loops, few enough that their panels stay in the cache.
int64_t images_at_once(int64_t tiles_of_image, int64_t count) {
    return std::max<int64_t>(1, std::min(count, 64 / tiles_of_image));
}

template <int M> struct Convolution {
    static constexpr int64_t S = Filter<M>::S, F = S * S;
    int64_t h, w, c, o, threads;

    Grid grid(int64_t images, int64_t channels) const { return {images, h, w, channels, h / M, w / M}; }

    void forward(int64_t images, const float* x, const float* weights, float* y) const {
        float* u = scratch(0, WEIGHTS, F * apart(c * o));
        share(threads, c, [&](int64_t, int64_t first, int64_t last) { weights_in<M>(c, o, weights, u, first, last); });
        share(threads, images, [&](int64_t thread, int64_t first, int64_t last) {
            const int64_t step = images_at_once(h / M * (w / M), last - first);
            for (int64_t n = first; n < last; n += step) {
                const Grid in = grid(std::min(step, last - n), c), out = grid(in.images, o);
                float *v = scratch(thread, FIRST, F * apart(c * in.tiles())), *m = scratch(thread, SECOND, F * apart(o * in.tiles()));
                inputs_in<M>(in, x + n * h * w * c, v);
                channels_product(F, in.tiles(), c, o, v, u, m);
                outputs_out<M>(out, m, y + n * h * w * o);
            }
        });
    }

    // weights_back[3][3][o][c]; dweights[3][3][c][o]; dx may be null.
    void backward(int64_t images, const float* x, const float* dy, const float* weights_back, float* dx,
                  float* dweights) const {
        float* u = dx ? scratch(0, WEIGHTS, F * apart(c * o)) : nullptr;
        if (dx) share(threads, o, [&](int64_t, int64_t first, int64_t last) {
            weights_in<M>(o, c, weights_back, u, first, last); });
        std::vector<float*> parts(parts_of(threads, images));
        share(threads, images, [&](int64_t thread, int64_t first, int64_t last) {
            parts[thread] = scratch(thread, SUMS, F * apart(c * o));
            std::memset(parts[thread], 0, sizeof(float) * F * apart(c * o));
            const int64_t step = images_at_once(h / M * (w / M), last - first);
            for (int64_t n = first; n < last; n += step) {
                const Grid in = grid(std::min(step, last - n), c), out = grid(in.images, o);
                float *v = scratch(thread, FIRST, F * apart(c * in.tiles())), *g = scratch(thread, SECOND, F * apart(o * in.tiles()));
                inputs_in<M>(in, x + n * h * w * c, v);
                outputs_in<M>(out, dy + n * h * w * o, g);
                tiles_product(F, in.tiles(), c, o, v, g, parts[thread]);
                if (!dx) continue;
                channels_product(F, in.tiles(), o, c, g, u, v);
                std::memset(dx + n * h * w * c, 0, sizeof(float) * in.images * h * w * c);
                inputs_out<M>(in, v, dx + n * h * w * c);
            }
        });
        share(threads, c, [&](int64_t, int64_t first, int64_t last) { weights_out<M>(c, o, parts, dweights, first, last); });
    }
};

inline float level(float z, float per, float top) {
    return __builtin_floorf(std::min(std::max(z * per + 0.5f, 0.f), top + 0.5f));
}

float gradients(int64_t count, const float* __restrict z, const float* __restrict dy, float per, float top, float ceiling,
                float* __restrict dz) {
    float sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const float above = z[i] > 0 ? dy[i] : 0.f, inside = z[i] < ceiling ? above : 0.f;
        sum += dy[i] * level(z[i], per, top) - inside * z[i] * per;
        dz[i] = inside;
    }
    return sum;
}

float clip_gradients(int64_t count, const float* __restrict z, const float* __restrict dy, float top, float* __restrict dz) {
    float sum = 0;
    for (int64_t i = 0; i < count; i++) {
        // Products with 0 or 1: compilers make no vectors of sums that leave a term out. At top both get half, as of torch's minimum.
        const float positive = z[i] > 0 ? 1.f : 0.f, below = z[i] < top ? .5f : 0.f, reaches = z[i] <= top ? .5f : 0.f;
        const float share = below + reaches;
        dz[i] = positive * share * dy[i];
        sum += positive * (1 - share) * dy[i];
    }
    return sum;
}

// A row of norm_staircase_backward: `to` is the gradient of what reaches the staircase; adds it and its product with x - mean
// into s and q; returns the gradient of the step.
template <bool MORE>
float gradients(int64_t width, const float* __restrict x, const float* __restrict more, const float* __restrict gain,
                const float* __restrict offset, const float* __restrict mean, const float* __restrict dy, float step, float top,
                float* __restrict to, float* __restrict s, float* __restrict q) {
    const float per = 1 / step, ceiling = top * step;
    float error = 0;
    for (int64_t i = 0; i < width; i++) {
        const float z = x[i] * gain[i] + offset[i] + (MORE ? more[i] : 0.f), g = dy[i];
        const float above = z > 0 ? g : 0.f, inside = z < ceiling ? above : 0.f;
        error += g * level(z, per, top) - inside * z * per;
        s[i] += inside;
        q[i] += inside * (x[i] - mean[i]);
        to[i] = inside;
    }
    return error;
}

// Columns of a (rows, channels) array that a loop runs over: narrow channels are taken several rows at a time.
int64_t width_of(int64_t rows, int64_t channels) {
    int64_t width = channels;
    while (width < 64 && rows * channels % (2 * width) == 0) width *= 2;
    return width;
}

// The values of each channel, repeated over `width` columns.
std::vector<float> repeated(const float* values, int64_t channels, int64_t width) {
    std::vector<float> all(width);
    for (int64_t i = 0; i < width; i++) all[i] = values[i % channels];
    return all;
}

// Sums a channel over rows, of two quantities that add(row, first sums, second sums) adds for a row of `width` columns.
// Single precision within a few rows, double beyond.
template <class Add>
void channel_sums(int64_t rows, int64_t channels, int64_t width, int64_t threads, double* first_sums, double* second_sums,
                  Add add) {
    std::mutex joining;
    std::fill_n(first_sums, channels, 0.);
    std::fill_n(second_sums, channels, 0.);
    share(threads, rows * channels / width, [&](int64_t thread, int64_t first, int64_t last) {
        std::vector<double> far(2 * width, 0.);
        std::vector<float> near(2 * width);
        for (int64_t row = first; row < last; row += 32) {
            std::fill(near.begin(), near.end(), 0.f);
            for (int64_t r = row; r < std::min(row + 32, last); r++) add(thread, r, near.data(), near.data() + width);
            for (int64_t i = 0; i < 2 * width; i++) far[i] += near[i];
        }
        const std::lock_guard<std::mutex> lock(joining);
        for (int64_t i = 0; i < width; i++) {
            first_sums[i % channels] += far[i];
            second_sums[i % channels] += far[width + i];
        }
    });
}

// The sum of work(at, n) over pieces of `count` values: of a few thousand in single precision, so that its loop stays in vectors,
// and of those in double.
template <class Work> double summed(int64_t threads, int64_t count, Work work) {
    std::vector<double> sums(MOST_THREADS, 0.);
    share(threads, count, [&](int64_t thread, int64_t first, int64_t last) {
        for (int64_t at = first; at < last; at += 4096) sums[thread] += work(at, std::min<int64_t>(4096, last - at));
    });
    double total = 0;
    for (double sum : sums) total += sum;
    return total;
}

// Neurons that are computed through all timesteps before the next ones.
constexpr int64_t BLOCK = 256;
int64_t blocks_of(int64_t count) { return (count + BLOCK - 1) / BLOCK; }

}  // namespace

extern "C" {

// Mean and (biased) variance a channel of x[rows][channels].
void moments(int64_t rows, int64_t channels, const float* x, float* mean, float* variance, int64_t threads) {
    const int64_t width = width_of(rows, channels);
    std::vector<double> sums(channels), squares(channels);
    // About the first row, so that squares do not grow with the mean.
    const auto pivots = repeated(x, channels, width);
    channel_sums(rows, channels, width, threads, sums.data(), squares.data(), [&](int64_t, int64_t row, float* s, float* q) {
        const float *__restrict at = x + row * width, *__restrict pivot = pivots.data();
        for (int64_t i = 0; i < width; i++) {
            const float away = at[i] - pivot[i];
            s[i] += away;
            q[i] += away * away;
        }
    });
    for (int64_t c = 0; c < channels; c++) {
        const double m = sums[c] / rows;
        mean[c] = x[c] + m;
        variance[c] = std::max(0., squares[c] / rows - m * m);
    }
}

// y = staircase(x * gain + offset + more), gain and offset a channel; `more` may be null.
void norm_staircase(int64_t rows, int64_t channels, const float* x, const float* more, const float* gain, const float* offset,
                    float step, float top, float* y, int64_t threads) {
    const int64_t width = width_of(rows, channels);
    const auto gains = repeated(gain, channels, width), offsets = repeated(offset, channels, width);
    const float per = 1 / step;
    share(threads, rows * channels / width, [&](int64_t, int64_t first, int64_t last) {
        const float *__restrict a = gains.data(), *__restrict b = offsets.data();
        for (int64_t row = first; row < last; row++) {
            const float *__restrict in = x + row * width, *__restrict also = more + row * width;
            float* __restrict out = y + row * width;
            if (more) for (int64_t i = 0; i < width; i++) out[i] = step * level(in[i] * a[i] + b[i] + also[i], per, top);
            else for (int64_t i = 0; i < width; i++) out[i] = step * level(in[i] * a[i] + b[i], per, top);
        }
    });
}

// Gradients of norm_staircase with gain = gamma / deviation, offset = beta - mean * gain, mean and deviation those of x.
// dmore is that of what reaches the staircase, and of `more`; dgamma, dbeta a channel; returns that of the step.
double norm_staircase_backward(int64_t rows, int64_t channels, const float* x, const float* more, const float* gain,
                               const float* offset, const float* mean, const float* deviation, const float* dy, float step,
                               float top, float* dx, float* dmore, float* dgamma, float* dbeta, int64_t threads) {
    const int64_t width = width_of(rows, channels);
    const auto gains = repeated(gain, channels, width), offsets = repeated(offset, channels, width);
    const auto means = repeated(mean, channels, width);
    std::vector<double> sums(channels), products(channels), errors(MOST_THREADS, 0.);
    channel_sums(rows, channels, width, threads, sums.data(), products.data(), [&](int64_t thread, int64_t row, float* s, float* q) {
        const int64_t at = row * width;
        errors[thread] += more ? gradients<true>(width, x + at, more + at, gains.data(), offsets.data(), means.data(), dy + at,
                                                 step, top, dmore + at, s, q)
                               : gradients<false>(width, x + at, more, gains.data(), offsets.data(), means.data(), dy + at,
                                                  step, top, dmore + at, s, q);
    });
    std::vector<float> shift(channels), slope(channels);
    for (int64_t c = 0; c < channels; c++) {
        dbeta[c] = sums[c];
        dgamma[c] = products[c] / deviation[c];
        slope[c] = dgamma[c] / rows / deviation[c];
        shift[c] = sums[c] / rows - mean[c] * slope[c];
    }
    const auto shifts = repeated(shift.data(), channels, width), slopes = repeated(slope.data(), channels, width);
    share(threads, rows * channels / width, [&](int64_t, int64_t first, int64_t last) {
        const float *__restrict a = gains.data(), *__restrict b = shifts.data(), *__restrict d = slopes.data();
        for (int64_t row = first; row < last; row++) {
            const float *in = x + row * width, *g = dmore + row * width;
            float* out = dx + row * width;
#pragma GCC ivdep
            for (int64_t i = 0; i < width; i++) out[i] = a[i] * (g[i] - b[i] - in[i] * d[i]);
        }
    });
    double total = 0;
    for (double error : errors) total += error;
    return total;
}

// y[n][h][w][o] of x[n][h][w][c] and weights[3][3][c][o], stride 1, a border of one zero.
void convolve(int64_t m, int64_t n, int64_t h, int64_t w, int64_t c, int64_t o, const float* x, const float* weights, float* y,
              int64_t threads) {
    const std::lock_guard<std::mutex> lock(busy);
    if (m == 4) Convolution<4>{h, w, c, o, threads}.forward(n, x, weights, y);
    else Convolution<2>{h, w, c, o, threads}.forward(n, x, weights, y);
}

void convolve_backward(int64_t m, int64_t n, int64_t h, int64_t w, int64_t c, int64_t o, const float* x, const float* dy,
                       const float* weights_back, float* dx, float* dweights, int64_t threads) {
    const std::lock_guard<std::mutex> lock(busy);
    if (m == 4) Convolution<4>{h, w, c, o, threads}.backward(n, x, dy, weights_back, dx, dweights);
    else Convolution<2>{h, w, c, o, threads}.backward(n, x, dy, weights_back, dx, dweights);
}

// y = step * clip(floor(z / step + 1/2), 0, top)
void staircase(int64_t count, const float* __restrict z, float step, float top, float* __restrict y, int64_t threads) {
    const float per = 1 / step;
    share(threads, count, [=](int64_t, int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) y[i] = step * level(z[i], per, top);
    });
}

// dz = dy where 0 < z < top * step, else 0; returns the sum of dy * level - dz * z / step.
double staircase_backward(int64_t count, const float* z, const float* dy, float step, float top, float* dz, int64_t threads) {
    return summed(threads, count, [=](int64_t at, int64_t n) {
        return gradients(n, z + at, dy + at, 1 / step, top, top * step, dz + at);
    });
}

// y = clip(z, 0, top)
void clip(int64_t count, const float* __restrict z, float top, float* __restrict y, int64_t threads) {
    share(threads, count, [=](int64_t, int64_t first, int64_t last) {
        for (int64_t i = first; i < last; i++) y[i] = std::min(std::max(z[i], 0.f), top);
    });
}

// dz = dy where 0 < z < top, half of it at top, else 0; returns the sum of what is left of dy where z is top or above.
double clip_backward(int64_t count, const float* z, const float* dy, float top, float* dz, int64_t threads) {
    return summed(threads, count, [=](int64_t at, int64_t n) { return clip_gradients(n, z + at, dy + at, top, dz + at); });
}

// Neurons that leak and fire once (paper 004, Eq. 6-8): u = leak * u + current - threshold * (it was above), z = u / threshold - 1;
// a spike where z > 0 for the first time. Arrays are (T, count); u begins with `start`, which comes again every `period` neurons.
void fire_once(int64_t steps, int64_t count, const float* currents, const float* start, int64_t period, float threshold,
               float leak, float* spikes, float* z, int64_t threads) {
    const float per = 1 / threshold;
    share(threads, blocks_of(count), [=](int64_t, int64_t first, int64_t last) {
        for (int64_t block = first; block < last; block++) {
            const int64_t at = block * BLOCK, n = std::min(BLOCK, count - at);
            float u[BLOCK], above[BLOCK], waits[BLOCK];
            for (int64_t i = 0; i < n; i++) u[i] = start[(at + i) % period], above[i] = 0, waits[i] = 1;
            for (int64_t t = 0; t < steps; t++) {
                const float* __restrict c = currents + t * count + at;
                float* __restrict sent = spikes + t * count + at;
                float* __restrict ratio = z + t * count + at;
                for (int64_t i = 0; i < n; i++) {
                    u[i] = leak * u[i] + c[i] - threshold * above[i];
                    ratio[i] = u[i] * per - 1;
                    above[i] = ratio[i] > 0 ? 1.f : 0.f;
                    sent[i] = above[i] * waits[i];
                    waits[i] = above[i] > 0 ? 0.f : waits[i];
                }
            }
        }
    });
}

// What reaches the currents and, in sums[0] and sums[1], threshold and leak: a spike's gradient passes to z by
// peak * max(0, 1 - |z|), and on through u from timestep to timestep (back-propagation in time).
void fire_once_backward(int64_t steps, int64_t count, const float* z, const float* start, int64_t period, const float* gradients,
                        float threshold, float leak, float peak, float* of_currents, double* sums, int64_t threads) {
    const float per = 1 / threshold;
    std::vector<double> thresholds(MOST_THREADS, 0.), leaks(MOST_THREADS, 0.);
    share(threads, blocks_of(count), [&](int64_t thread, int64_t first, int64_t last) {
        for (int64_t block = first; block < last; block++) {
            const int64_t at = block * BLOCK, n = std::min(BLOCK, count - at);
            float later[BLOCK], begin[BLOCK];
            for (int64_t i = 0; i < n; i++) later[i] = 0, begin[i] = start[(at + i) % period];
            for (int64_t t = steps - 1; t >= 0; t--) {
                const float* __restrict g = gradients + t * count + at;
                const float* __restrict ratio = z + t * count + at;
                const float* __restrict before = t ? z + (t - 1) * count + at : nullptr;
                float* __restrict out = of_currents + t * count + at;
                float by_threshold = 0, by_leak = 0;
                for (int64_t i = 0; i < n; i++) {
                    const float distance = std::abs(ratio[i]), near = distance < 1 ? 1.f : 0.f;
                    const float slope = g[i] * peak * near * (1 - distance);
                    later[i] = slope * per + leak * later[i];
                    out[i] = later[i];
                    by_threshold -= slope * (ratio[i] + 1) * per;
                }
                if (t)
                    for (int64_t i = 0; i < n; i++) {
                        const float spike = before[i] > 0 ? 1.f : 0.f;
                        by_threshold -= spike * later[i];
                        by_leak += later[i] * (before[i] + 1) * threshold;
                    }
                else
                    for (int64_t i = 0; i < n; i++) by_leak += later[i] * begin[i];
                thresholds[thread] += by_threshold;
                leaks[thread] += by_leak;
            }
        }
    });
    sums[0] = sums[1] = 0;
    for (double sum : thresholds) sums[0] += sum;
    for (double sum : leaks) sums[1] += sum;
}

// Neurons with a soft reset that send `scale` a spike (paper 001): u = u + current, z = u / threshold, a spike where z > 1, strictly,
// which takes the threshold from u. Arrays are (T, count).
void alpha_beta(int64_t steps, int64_t count, const float* currents, float threshold, float scale, float* sent, float* z,
                int64_t threads) {
    const float per = 1 / threshold;
    share(threads, blocks_of(count), [=](int64_t, int64_t first, int64_t last) {
        for (int64_t block = first; block < last; block++) {
            const int64_t at = block * BLOCK, n = std::min(BLOCK, count - at);
            float u[BLOCK] = {};
            for (int64_t t = 0; t < steps; t++) {
                const float* __restrict c = currents + t * count + at;
                float* __restrict out = sent + t * count + at;
                float* __restrict ratio = z + t * count + at;
                for (int64_t i = 0; i < n; i++) {
                    u[i] += c[i];
                    ratio[i] = u[i] * per;
                    out[i] = ratio[i] > 1 ? scale : 0.f;
                    u[i] -= ratio[i] > 1 ? threshold : 0.f;
                }
            }
        }
    });
}

// What reaches the currents and, in sums[0] and sums[1], threshold and scale: from z = `least` to `most`, what is sent and what a
// spike takes from u follow u with slope 1; elsewhere u passes its gradient from timestep to timestep.
void alpha_beta_backward(int64_t steps, int64_t count, const float* z, const float* gradients, float least, float most,
                         float* of_currents, double* sums, int64_t threads) {
    std::vector<double> thresholds(MOST_THREADS, 0.), scales(MOST_THREADS, 0.);
    share(threads, blocks_of(count), [&](int64_t thread, int64_t first, int64_t last) {
        for (int64_t block = first; block < last; block++) {
            const int64_t at = block * BLOCK, n = std::min(BLOCK, count - at);
            float later[BLOCK] = {};
            for (int64_t t = steps - 1; t >= 0; t--) {
                const float* __restrict g = gradients + t * count + at;
                const float* __restrict ratio = z + t * count + at;
                float* __restrict out = of_currents + t * count + at;
                float by_threshold = 0, by_scale = 0;
                for (int64_t i = 0; i < n; i++) {
                    const float r = ratio[i], spike = r > 1 ? 1.f : 0.f, inside = r >= least ? 1.f : 0.f;
                    const float slope = (r <= most ? inside : 0.f) * (g[i] - later[i]);
                    by_threshold -= slope * r + spike * later[i];
                    by_scale += spike * g[i];
                    later[i] += slope;
                    out[i] = later[i];
                }
                thresholds[thread] += by_threshold;
                scales[thread] += by_scale;
            }
        }
    });
    sums[0] = sums[1] = 0;
    for (double sum : thresholds) sums[0] += sum;
    for (double sum : scales) sums[1] += sum;
}

}
