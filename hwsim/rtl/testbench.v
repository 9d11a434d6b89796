$header
`timescale 1ns / 1ps

module ${module}_tb;
  // The run. Rows of the data file: fields of 32 bits, the first one highest; a state has one row a lane.
$constants

  reg [${row_bits} - 1:0] data [0:ROWS - 1];
  reg [8 * 1024 - 1:0] path;
  initial begin
    if (!$$value$$plusargs("data=%s", path)) path = "${data}";
    $$readmemh(path, data);
    #1 if (data[0][31:0] !== ROWS) $$fatal(1, "cannot read the expected answers; run in their folder or give +data=FILE");
  end

  // +wave=FILE: a waveform of all signals, for GTKWave or Surfer.
  reg [8 * 1024 - 1:0] wave;
  initial if ($$value$$plusargs("wave=%s", wave)) begin
    $$dumpfile(wave);
    $$dumpvars(0, ${module}_tb);
  end

  reg clk = 1'b0;
  always #5 clk = ~clk;

  localparam RESET = 0, FILL = 1, RUN = 2, READ = 3, REPORT = 4;
  integer state = RESET;
  integer differences = 0, pushes = 0, spikes = 0, words = 0;
  reg [31:0] cycle = 0;     // of the run: the cycle that ends with this edge
  reg [31:0] after = 0;     // the cycle after the latest push

  reg rst = 1'b1, host_read = 1'b0, host_write = 1'b0;
  reg [2:0] host_select = 0;
  reg [31:0] host_address = 0;
  reg [HOST_BITS - 1:0] host_write_data = 0;
  reg read_before = 1'b0;   // host_read and host_address of the cycle before: their word is there now
  reg [31:0] address_before = 0;

  wire done, token_ready, spike_valid;
  wire [HOST_BITS - 1:0] host_read_data;
$spike_fields
$kept_fields

  // R2: token k is offered from max(last push + gap, earliest) on, until the FIFO takes it.
  wire [${row_bits} - 1:0] token = data[TOKENS_AT + (pushes < TOKENS ? pushes : TOKENS - 1)];
  wire token_valid = state == RUN && pushes < TOKENS && cycle + 1 >= after + token[10 * 32 +: 32] && cycle >= token[9 * 32 +: 32];

  $module dut (
$connections
  );

  // Memories by host_select: membrane, current, mask; 0 bits where the core has none.
  function integer bits_of(input integer memory);
    bits_of = memory == 0 ? MEMBRANE_BITS : memory == 1 ? CURRENT_BITS : memory == 2 ? MASK_BITS : 0;
  endfunction

  function integer first_row(input integer from, input integer memory);
    first_row = from + WORDS * LANES * ((memory > 0 && MEMBRANE_BITS > 0 ? 1 : 0) + (memory > 1 && CURRENT_BITS > 0 ? 1 : 0));
  endfunction

  function integer next_memory(input integer memory);
    next_memory = memory < 1 && CURRENT_BITS > 0 ? 1 : memory < 2 && MASK_BITS > 0 ? 2 : 3;
  endfunction

  function [63:0] lane_of(input [HOST_BITS - 1:0] word, input integer lane, input integer bits);
    lane_of = (word >> (lane * bits)) & ~(64'hffffffffffffffff << bits);
  endfunction

  function [HOST_BITS - 1:0] word_of(input integer memory, input integer address);
    integer lane;
    reg [HOST_BITS - 1:0] value;
    begin
      word_of = 0;
      for (lane = 0; lane < LANES; lane = lane + 1) begin
        value = data[first_row(BEFORE_AT, memory) + address * LANES + lane][63:0];
        word_of = word_of | (value << (lane * bits_of(memory)));
      end
    end
  endfunction

  task differs;
    begin
      if (differences == 0) $$write("first difference: ");
      differences = differences + 1;
    end
  endtask

  task check_push;
    begin
      if (cycle != token[8 * 32 +: 32]) begin
        differs;
        if (differences == 1) $$display("token %0d pushed in cycle %0d, expected %0d", pushes, cycle, token[8 * 32 +: 32]);
      end
      pushes <= pushes + 1;
      after <= cycle + 1;
    end
  endtask

  reg [${row_bits} - 1:0] expected;
  reg [31:0] channel, level;
  task check_spike(input integer sender);
    begin
      channel = spike_c + sender;
      level = (spike_levels >> (sender * LEVEL_BITS)) & ~(64'hffffffffffffffff << LEVEL_BITS);
      expected = data[SPIKES_AT + (spikes < SPIKES ? spikes : 0)];
      if (spikes >= SPIKES) begin
        differs;
        if (differences == 1) $$display("spike %0d in cycle %0d, expected %0d spikes", spikes, cycle, SPIKES);
      end else if ({cycle, spike_pass, channel, spike_y, spike_x, level} != expected[6 * 32 - 1:0]) begin
        differs;
        if (differences == 1) begin
          $$display("spike %0d in cycle %0d: pass %0d c %0d y %0d x %0d level %0d, expected", spikes, cycle, spike_pass, channel,
                   spike_y, spike_x, level);
          $$display("  cycle %0d: pass %0d c %0d y %0d x %0d level %0d", expected[5 * 32 +: 32], expected[4 * 32 +: 32],
                   expected[3 * 32 +: 32], expected[2 * 32 +: 32], expected[32 +: 32], expected[0 +: 32]);
        end
      end
      spikes = spikes + 1;
    end
  endtask

  // All spikes of this cycle: one, or those of a word (R22).
  integer sender;
  task check_spikes;
    for (sender = 0; sender < SENDERS; sender = sender + 1) if (spike_fired[sender]) check_spike(sender);
  endtask

  // Where the memories do not tell (TELLS is 0), each word as EXEC was last done with it.
  reg [63:0] last_seen [0:3 * WORDS * LANES - 1];
  integer row;
  initial #2 for (row = 0; row < AFTER_AT - BEFORE_AT; row = row + 1) last_seen[row] = data[BEFORE_AT + row][63:0];

  function [HOST_BITS - 1:0] kept_of(input integer memory);
    kept_of = memory == 0 ? kept_membrane : memory == 1 ? kept_current : kept_mask;
  endfunction

  integer of_memory, of_lane;
  task look_at_states;
    for (of_memory = 0; of_memory < 3; of_memory = of_memory + 1)
      if (kept_seen[of_memory])
        for (of_lane = 0; of_lane < LANES; of_lane = of_lane + 1)
          last_seen[first_row(0, of_memory) + kept_word * LANES + of_lane]
            = lane_of(kept_of(of_memory), of_lane, bits_of(of_memory));
  endtask

  task check_end;
    begin
      if (cycle != DONE || pushes != TOKENS || spikes != SPIKES) begin
        differs;
        if (differences == 1)
          $$display("done in cycle %0d after %0d pushes and %0d spikes, expected cycle %0d, %0d, %0d", cycle, pushes, spikes, DONE,
                   TOKENS, SPIKES);
      end
    end
  endtask

  integer lane;
  reg [63:0] found, wanted;
  task check_word;
    begin
      for (lane = 0; lane < LANES; lane = lane + 1) begin
        found = TELLS ? lane_of(host_read_data, lane, bits_of(host_select))
                      : last_seen[first_row(0, host_select) + address_before * LANES + lane];
        expected = data[first_row(AFTER_AT, host_select) + address_before * LANES + lane];
        wanted = expected[63:0];
        if (expected[64] && found != wanted) begin
          differs;
          if (differences == 1)
            $$display("memory %0d word %0d lane %0d is %h (two's complement), expected %h", host_select, address_before, lane, found,
                     wanted);
        end
      end
      words = words + 1;
    end
  endtask

  // What the core sees (state, pushes, host_*) changes with <= only, so that the order of processes does not matter.
  always @(posedge clk) begin
    read_before <= host_read;
    address_before <= host_address;
    case (state)
      RESET: begin
        rst <= 1'b0;
        if (!rst) state <= CLEAR == 1 ? RUN : FILL;
      end
      FILL: begin   // host_address is the word that is being written in this cycle, if any
        if (host_write && host_address == WORDS - 1) begin
          host_write <= 1'b0;
          host_address <= 0;
          host_select <= next_memory(host_select);
          if (next_memory(host_select) == 3) begin
            host_select <= 0;
            state <= RUN;
          end
        end else begin
          host_write <= 1'b1;
          host_address <= host_write ? host_address + 1 : 0;
          host_write_data <= word_of(host_select, host_write ? host_address + 1 : 0);
        end
      end
      RUN: begin
        if (token_valid && token_ready) check_push;
        if (spike_valid) check_spikes;
        if (!TELLS) look_at_states;
        cycle <= cycle + 1;
        if ((done && cycle != 0) || cycle > LIMIT) begin
          check_end;
          host_read <= 1'b1;
          state <= READ;
        end
      end
      READ: begin   // one word a cycle; the last one of a memory comes in the cycle after its last read
        if (read_before) check_word;
        if (host_read) begin
          if (host_address == WORDS - 1) host_read <= 1'b0;
          else host_address <= host_address + 1;
        end else if (read_before) begin
          host_address <= 0;
          host_select <= next_memory(host_select);
          host_read <= next_memory(host_select) != 3;
          if (next_memory(host_select) == 3) state <= REPORT;
        end
      end
      default: begin
        $$display("%0d of %0d pushes, %0d of %0d spikes, done in cycle %0d of %0d, %0d memory words read: %0d differences", pushes,
                 TOKENS, spikes, SPIKES, cycle - 1, DONE, words, differences);
        if (differences == 0) begin
          $$display("PASS");
          $$finish;
        end else begin
          $$display("FAIL");
          $$fatal(1, "the core does not answer as the model does");
        end
      end
    endcase
  end
endmodule
/* verilator lint_restore */
