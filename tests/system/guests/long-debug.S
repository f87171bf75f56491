# Single steps and breakpoints in long mode (SDM vol. 3B chapter 18).
.include "long.inc"

.set TF, 0x100
.set RF, 0x10000
.set B0, 1
.set BD, 0x2000
.set BS, 0x4000
.set DR6_FIXED, 0xffff0ff0
.set DATA_AT, SCRATCH+0x100
.set TRACE, SCRATCH+0x800       # where steps went
.set trace_end, note+8
.set stop_at, note+16
.set trace_dr6, note+24

# Runs insn with these breakpoints and expects a trap behind it with these bits of DR6.
.macro TRAPS bits, insn:vararg
    EXPECT_RESUME .Lresume\@
    \insn
.Lresume\@:
    CHECKL fault_vector, $1
    CHECK fault_rip, $.Lresume\@
    CHECKL fault_dr6, $DR6_FIXED|\bits
    CALL_CLEAR
.endm

.macro CALL_CLEAR
    movq $0, resume_rip
    call reset_dr6
.endm

# Breakpoint 0: DR7's R/W and LEN bits, 4 of them.
.macro BREAK address, field
    movq $\address, %rax
    movq %rax, %dr0
    movl $((\field)<<16)|0x402, %eax
    movq %rax, %dr7
.endm
.set ON_EXECUTE, 0
.set ON_WRITE, 1
.set ON_PORT, 2
.set ON_ACCESS, 3
.set LENGTH2, 4
.set LENGTH8, 8
.set LENGTH4, 12

main:
    TEST "registers"
    movq %dr7, %rax
    CHECKL %eax, $0x400
    movl $0xffff3ff0, %eax
    movq %rax, %dr6
    movq %dr6, %rax
    CHECKL %eax, $0xffff2ff0
    movl $0xd402, %eax
    movq %rax, %dr7
    movq %dr7, %rax
    CHECKL %eax, $0x402
    call clear_dr6
    movabsq $0x123456789a, %rax
    movq %rax, %dr3
    xorl %eax, %eax
    movq %dr3, %rbx
    movabsq $0x123456789a, %rax
    CHECK %rbx, %rax
    movabsq $0x100000000, %rax
    FAULT 13, 0, movq %rax, %dr6
    FAULT 13, 0, movq %rax, %dr7
    TEST "DR4 and DR5"
    movq %dr6, %rbx
    .byte 0x0f, 0x21, 0xe0      # MOV RAX, DR4
    CHECK %rax, %rbx
    SET_CR4 8
    FAULT 6, NO_ERROR, .byte 0x0f, 0x21, 0xe0
    FAULT 6, NO_ERROR, .byte 0x0f, 0x23, 0xe8
    CLEAR_CR4 8
    TEST "user code"
    USER_FAULT 13, 0, user_dr, user_dr

    TEST "single step"
    call start_trace
    pushq $TF|2
    popfq
step0: nop
step1: incl %eax
step2: jmp step3
    nop
step3: call step5
step4: nop
stop: nop
    jmp traced1
step5: ret
traced1:
    movq $TRACE, %rbx
    movq 0(%rbx), %rax
    CHECK %rax, $step1
    movq 8(%rbx), %rax
    CHECK %rax, $step2
    movq 16(%rbx), %rax
    CHECK %rax, $step3
    movq 24(%rbx), %rax
    CHECK %rax, $step5
    movq 32(%rbx), %rax
    CHECK %rax, $step4
    movq 40(%rbx), %rax
    CHECK %rax, $stop
    CHECK trace_end, $TRACE+48
    CHECKL trace_dr6, $DR6_FIXED|BS
    TEST "single step over REP"
    call start_trace
    movq $rep1, stop_at
    movl $3, %ecx
    movl $SCRATCH, %edi
    pushq $TF|2
    popfq
rep0: rep stosb
rep1: nop
    movq $TRACE, %rbx
    movq 0(%rbx), %rax
    CHECK %rax, $rep0
    movq 8(%rbx), %rax
    CHECK %rax, $rep0
    movq 16(%rbx), %rax
    CHECK %rax, $rep1
    CHECK trace_end, $TRACE+24
    TEST "POPF that clears TF is stepped itself"
    call start_trace
    movq $-1, stop_at
    pushq $2
    pushq $TF|2
    popfq
popf0: popfq
popf1: nop
    movq $TRACE, %rbx
    movq 0(%rbx), %rax
    CHECK %rax, $popf1
    CHECK trace_end, $TRACE+8
    TEST "MOV SS postpones the step"
    call start_trace
    movq $ss2, stop_at
    movl $DATA, %eax
    pushq $TF|2
    popfq
ss0: movw %ax, %ss
ss1: nop
ss2: nop
    movq $TRACE, %rbx
    movq 0(%rbx), %rax
    CHECK %rax, $ss2
    CHECK trace_end, $TRACE+8
    TEST "INT clears TF and is not stepped"
    call start_trace
    movq $-1, stop_at
    EXPECT_RESUME int1
    pushq $TF|2
    popfq
    int $0x40
int1: movq $0, resume_rip
    CHECKL fault_vector, $0x40
    movq fault_flags, %rax
    andl $TF, %eax
    CHECKL %eax, $TF
    CHECK trace_end, $TRACE
    TEST "an exception is not stepped"
    EXPECT_RESUME ud1
    pushq $TF|2
    popfq
    ud2
ud1: movq $0, resume_rip
    CHECKL fault_vector, $6
    movq fault_flags, %rax
    andl $TF|RF, %eax
    CHECKL %eax, $TF|RF
    CHECK trace_end, $TRACE
    TEST "IRETQ with TF steps what it returns to"
    call start_trace
    movq $iret2, stop_at
    pushq $DATA
    leaq 8(%rsp), %rax
    pushq %rax
    pushq $TF|2
    pushq $CODE64
    pushq $iret1
    iretq
iret1: nop
iret2: nop
    movq $TRACE, %rbx
    movq 0(%rbx), %rax
    CHECK %rax, $iret2
    CHECK trace_end, $TRACE+8
    # TF counts as it is behind SYSCALL and SYSRET, so that a kernel may mask it (SDM vol. 2B, "SYSCALL").
    TEST "SYSCALL with TF masked"
    call start_trace
    movq $-1, stop_at
    WRITE_MSR 0xc0000080, 0xd01
    WRITE_MSR 0xc0000081, 0, 0x200008
    WRITE_MSR 0xc0000082, syscall_entry
    WRITE_MSR 0xc0000084, TF
    pushq $TF|2
    popfq
    syscall
syscall_entry:
    nop
    nop
    CHECK trace_end, $TRACE
    TEST "STI and CLI under TF"
    call start_trace
    movq $sti2, stop_at
    pushq $TF|2
    popfq
sti0: sti
sti1: cli
sti2: nop
    movq $TRACE, %rbx
    movq 0(%rbx), %rax
    CHECK %rax, $sti1
    movq 8(%rbx), %rax
    CHECK %rax, $sti2
    TEST "user code under TF"
    DEFAULT_GATE 1
    movq $0x3102, user_flags
    USER_RUN user_nops
    CHECKL fault_vector, $1
    CHECK fault_rip, $user_nops+1+USER
    movq $0x3002, user_flags
    call clear_dr6

    TEST "write breakpoints"
    BREAK DATA_AT, ON_WRITE
    TRAPS B0, movb %al, DATA_AT
    PASS movb DATA_AT, %al
    PASS movb %al, DATA_AT+1
    TRAPS B0, movl %eax, DATA_AT-3
    TRAPS B0, movq %rax, DATA_AT-7
    PASS movq %rax, DATA_AT-8
    TRAPS B0, incb DATA_AT
    TRAPS B0, movups %xmm0, DATA_AT-8
    TRAPS B0, xchgb %al, DATA_AT
    TEST "after the breakpoint memory is written"
    call clear_dr6
    movb $1, DATA_AT
    movb $2, DATA_AT
    BREAK DATA_AT, ON_WRITE
    TRAPS B0, movb $3, DATA_AT
    xorl %eax, %eax
    movb DATA_AT, %al
    CHECKL %eax, $3
    TEST "lengths"
    BREAK DATA_AT+2, ON_WRITE|LENGTH2
    PASS movb %al, DATA_AT+1
    TRAPS B0, movb %al, DATA_AT+2
    TRAPS B0, movb %al, DATA_AT+3
    PASS movb %al, DATA_AT+4
    BREAK DATA_AT+4, ON_WRITE|LENGTH4
    PASS movb %al, DATA_AT+3
    TRAPS B0, movb %al, DATA_AT+7
    PASS movb %al, DATA_AT+8
    BREAK DATA_AT+8, ON_WRITE|LENGTH8
    TRAPS B0, movb %al, DATA_AT+15
    PASS movb %al, DATA_AT+16
    # The low bits of the address do not count.
    BREAK DATA_AT+5, ON_WRITE|LENGTH4
    TRAPS B0, movb %al, DATA_AT+4
    TEST "access breakpoints"
    BREAK DATA_AT, ON_ACCESS
    TRAPS B0, movb DATA_AT, %al
    TRAPS B0, movb %al, DATA_AT
    TRAPS B0, cmpb $1, DATA_AT
    movl $DATA_AT-16, %esi
    movl $DATA_AT, %ebx
    pushq $77
    TRAPS B0, popq DATA_AT
    TEST "an instruction fetch is no data access"
    BREAK fetched, ON_ACCESS
    PASS call fetched
    TEST "a string instruction stops after its element"
    BREAK DATA_AT, ON_WRITE
    movl $DATA_AT-2, %edi
    movl $6, %ecx
    EXPECT_RESUME 2f
1:  rep stosb
2:  CHECKL fault_vector, $1
    CHECK fault_rip, $1b
    CHECK %rcx, $3
    CHECK %rdi, $DATA_AT+1
    call clear_dr6
    TEST "two breakpoints at once"
    movl $DATA_AT, %eax
    movq %rax, %dr0
    incl %eax
    movq %rax, %dr2
    movl $0x01010400|0x22, %eax
    movq %rax, %dr7
    TRAPS 5, movw %ax, DATA_AT
    movl $0x01010400|0x22, %eax
    movq %rax, %dr7
    TRAPS 4, movb %al, DATA_AT+1
    TEST "local enable"
    movl $0x00010401, %eax
    movq %rax, %dr7
    TRAPS B0, movb %al, DATA_AT
    movl $0x00010400, %eax
    movq %rax, %dr7
    PASS movb %al, DATA_AT
    TEST "a fault in place of the trap"
    BREAK DATA_AT, ON_ACCESS
    movl $DATA_AT, %esi
    movl $0x50000000, %edi
    FAULT 14, 2, movsb

    TEST "MOV SS postpones a data breakpoint"
    call clear_dr6
    movl $DATA, DATA_AT
    BREAK DATA_AT, ON_ACCESS
    EXPECT_RESUME 3f
    movw DATA_AT, %ss
2:  nop
3:  CHECKL fault_vector, $1
    CHECK fault_rip, $3b
    CHECKL fault_dr6, $DR6_FIXED|B0
    call clear_dr6

    TEST "instruction breakpoints"
    movl $1, %ecx
    BREAK 1f, ON_EXECUTE
    EXPECT_RESUME 2f
    incl %ecx
1:  incl %ecx
2:  CHECKL fault_vector, $1
    CHECK fault_rip, $1b
    CHECKL %ecx, $2
    CHECKL fault_dr6, $DR6_FIXED|B0
    movq fault_flags, %rax
    andl $RF, %eax
    CHECKL %eax, $0
    call clear_dr6
    TEST "on the second byte there is no breakpoint"
    BREAK 1f+1, ON_EXECUTE
    EXPECT_RESUME 2f
1:  incl %ecx
2:  CHECKL fault_vector, $-1
    TEST "RF runs the instruction"
    BREAK 1f, ON_EXECUTE
    movl $0, %ecx
    EXPECT_RESUME 2f
    pushq $DATA
    leaq 8(%rsp), %rax
    pushq %rax
    pushq $RF|2
    pushq $CODE64
    pushq $1f
    iretq
1:  incl %ecx
    # RF lasts one instruction.
    jmp 1b
2:  CHECKL fault_vector, $1
    CHECKL %ecx, $1
    CHECK fault_rip, $1b
    call clear_dr6
    TEST "PUSHF shows no RF"
    movq $0, resume_rip
    pushq $DATA
    leaq 8(%rsp), %rax
    pushq %rax
    pushq $RF|2
    pushq $CODE64
    pushq $1f
    iretq
1:  pushfq
    popq %rax
    andl $RF, %eax
    CHECKL %eax, $0
    TEST "not behind MOV SS"
    movl $DATA, %eax
    movl $0, %ecx
    BREAK 1f, ON_EXECUTE
    movl $DATA, %eax
    EXPECT_RESUME 2f
    movw %ax, %ss
1:  incl %ecx
2:  CHECKL %ecx, $1
    CHECKL fault_vector, $-1
    call clear_dr6
    TEST "a loop runs into it again"
    movl $0, %ecx
    movl $100, %edx
    movl $1f, %eax
    jmp 3f
0:  decl %edx
    jz 2f
1:  incl %ecx
    jmp 0b
3:  BREAK 1b, ON_EXECUTE
    EXPECT_RESUME 2f
    jmp 0b
2:  CHECKL fault_vector, $1
    CHECKL %edx, $99
    CHECKL %ecx, $0
    call clear_dr6

    TEST "general detection"
    movl $0x2400, %eax
    movq %rax, %dr7
    FAULT 1, NO_ERROR, movq %dr0, %rbx
    CHECKL fault_dr6, $DR6_FIXED|BD
    # Detection is off in the handler.
    movq %dr7, %rax
    CHECKL %eax, $0x400
    call clear_dr6
    movl $0x2400, %eax
    movq %rax, %dr7
    FAULT 1, NO_ERROR, movq %rbx, %dr7
    call clear_dr6

    TEST "port breakpoints"
    SET_CR4 8
    BREAK 0x80, ON_PORT
    TRAPS B0, outb %al, $0x80
    BREAK 0x80, ON_PORT
    PASS outb %al, $0xed
    movl $0x80, %edx
    BREAK 0x80, ON_PORT|LENGTH4
    movl $0x83, %edx
    TRAPS B0, outb %al, %dx
    BREAK 0x80, ON_PORT
    movl $0x80, %edx
    TRAPS B0, inb %dx, %al
    CLEAR_CR4 8
    call clear_dr6

    TEST "INT1"
    EXPECT_RESUME 1f
    .byte 0xf1
1:  CHECKL fault_vector, $1
    CHECK fault_rip, $1b
    # DR6 does not change.
    CHECKL fault_dr6, $DR6_FIXED
    THE_END

# Forgets what happened, and with the breakpoints too.
clear_dr6:
    pushq %rax
    movl $0x400, %eax
    movq %rax, %dr7
    popq %rax
reset_dr6:
    pushq %rax
    movl $DR6_FIXED, %eax
    movq %rax, %dr6
    popq %rax
    ret

fetched:
    ret

# Handler of #DB that writes down where it came from and stops stepping at `stop_at`.
trace_handler:
    pushq %rax
    pushq %rbx
    movq trace_end, %rbx
    movq 16(%rsp), %rax
    movq %rax, (%rbx)
    addq $8, trace_end
    cmpq stop_at, %rax
    jne 1f
    andq $~TF, 32(%rsp)
1:  movq %dr6, %rax
    movl %eax, trace_dr6
    movl $DR6_FIXED, %eax
    movq %rax, %dr6
    popq %rbx
    popq %rax
    iretq

start_trace:
    GATE 1, trace_handler
    movq $TRACE, trace_end
    movq $stop, stop_at
    movq $0, TRACE
    movq $0, TRACE+8
    movq $0, TRACE+16
    ret

user_dr:
    movq %dr0, %rax
user_nops:
    nop
    nop
    int $0x40
