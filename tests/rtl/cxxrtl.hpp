// Drives one design that CXXRTL made of the core: fills and reads its memories, and runs it with R2 as a producer.
//
// tests/rtl/cxxrtl.py writes the designs, includes this file after them and calls the three functions that DRIVER gives to
// each. A value is handed over as the 32-bit chunks that CXXRTL keeps it in, lowest first.

#include <algorithm>
#include <cstdint>

template <class Top>
struct Driver {
    Top top;

    template <class Port>
    static void set(Port &port, const uint32_t *chunks) { std::copy_n(chunks, Port::chunks, port.data); }

    template <class Port>
    static uint32_t *get(const Port &port, uint32_t *chunks) { return std::copy_n(port.data, Port::chunks, chunks); }

    // A cycle is a settle, in which its outputs are seen, and an edge.
    void settle() { top.p_clk.template set<bool>(false); top.step(); }
    void edge() { top.p_clk.template set<bool>(true); top.step(); }

    void fill(uint32_t select, uint32_t words, const uint32_t *chunks) {
        top.p_host__select.template set<uint32_t>(select);
        top.p_host__write.template set<bool>(true);
        for (uint32_t word = 0; word < words; ++word, chunks += decltype(top.p_host__written)::chunks) {
            top.p_host__address.template set<uint32_t>(word);
            set(top.p_host__written, chunks);
            settle();
            edge();
        }
        top.p_host__write.template set<bool>(false);
    }

    void read(uint32_t select, uint32_t words, uint32_t *chunks) {
        top.p_host__select.template set<uint32_t>(select);
        top.p_host__read.template set<bool>(true);
        for (uint32_t word = 0; word < words; ++word) {
            top.p_host__address.template set<uint32_t>(word);
            settle();
            edge();
            chunks = get(top.p_host__word, chunks);
        }
        top.p_host__read.template set<bool>(false);
    }

    // Token k is offered from max(p_(k-1) + gap_k, earliest_k) on, until the FIFO takes it. Writes what is observed in every
    // cycle; returns the number of cycles, that of `done` included, or -1 when `patience` cycles were not enough.
    int64_t run(bool clear, uint32_t eots, int64_t tokens, const uint32_t *token, const int64_t *gaps, const int64_t *earliest,
                int64_t patience, const uint8_t *ready, uint32_t *observed) {
        top.p_clear.template set<bool>(clear);
        top.p_eots.template set<uint32_t>(eots);
        int64_t next = 0, last = -1;
        for (int64_t cycle = 0; cycle < patience; ++cycle) {
            const bool offers = next < tokens && cycle >= std::max(last + gaps[next], earliest[next]);
            top.p_start.template set<bool>(cycle == 0);
            top.p_token__valid.template set<bool>(offers);
            if (offers)
                set(top.p_token, token);
            top.p_spike__ready.template set<bool>(ready[cycle]);
            settle();
            observed = get(top.p_observed, observed);
            const bool pushed = top.p_pushed.template get<bool>(), done = top.p_done.template get<bool>();
            if (pushed) {
                last = cycle;
                ++next;
                token += decltype(top.p_token)::chunks;
            }
            edge();
            if (done && cycle > 0)
                return cycle + 1;
        }
        return -1;
    }
};

#define DRIVER(NAME, TOP)                                                                                                       \
    static Driver<TOP> NAME##_driver;                                                                                           \
    extern "C" void NAME##_fill(uint32_t select, uint32_t words, const uint32_t *chunks) {                                      \
        NAME##_driver.fill(select, words, chunks);                                                                              \
    }                                                                                                                           \
    extern "C" void NAME##_read(uint32_t select, uint32_t words, uint32_t *chunks) {                                            \
        NAME##_driver.read(select, words, chunks);                                                                              \
    }                                                                                                                           \
    extern "C" int64_t NAME##_run(bool clear, uint32_t eots, int64_t tokens, const uint32_t *token, const int64_t *gaps,        \
                                  const int64_t *earliest, int64_t patience, const uint8_t *ready, uint32_t *observed) {        \
        return NAME##_driver.run(clear, eots, tokens, token, gaps, earliest, patience, ready, observed);                        \
    }
