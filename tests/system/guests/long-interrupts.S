# Interrupts of the local APIC: shadows, priorities, NMI, HLT (SDM vol. 3A §6.7, §6.8, chapter 11).
.include "long.inc"

.set SVR, 0xf0
.set TPR, 0x80
.set EOI, 0xb0
.set ICR_LOW, 0x300
.set ICR_HIGH, 0x310
.set LVT_TIMER, 0x320
.set TIMER_INITIAL, 0x380
.set TIMER_DIVIDE, 0x3e0
.set SELF, 0x44000
.set count, note+8
.set first, note+16
.set last, note+24
.set at_rip, note+32

# R15 holds the APIC's address. Waits until the APIC shows an interrupt that was sent, since delivery takes its time.
.macro SEND vector
    movl $SELF|\vector, ICR_LOW(%r15)
1:  pause
    movl 0x200+(\vector>>5)*16(%r15), %eax
    btl $\vector&31, %eax
    jnc 1b
.endm

main:
    movl $APIC, %r15d
    movl $0x1ff, SVR(%r15)
    movl $0, TPR(%r15)
    GATE 0x31, low_handler
    GATE 0x51, high_handler
    GATE 2, nmi_handler

    TEST "IF holds interrupts back"
    movq $0, count
    SEND 0x31
    movl $100, %ecx
1:  pause
    loop 1b
    CHECK count, $0
    TEST "STI lets them in behind the next instruction"
    sti
    incl %ebx
2:  nop
    cli
    CHECK count, $1
    CHECK at_rip, $2b
    TEST "STI CLI leaves no room"
    movq $0, count
    SEND 0x31
    sti
    cli
    movl $100, %ecx
1:  pause
    loop 1b
    CHECK count, $0
    sti
    nop
    cli
    CHECK count, $1
    TEST "MOV SS holds them back one instruction"
    movq $0, count
    movl $DATA, %edx
    SEND 0x31
    sti
    movw %dx, %ss
1:  nop
2:  nop
    cli
    CHECK count, $1
    CHECK at_rip, $2b
    TEST "POPF and IRET let them in at once"
    movq $0, count
    SEND 0x31
    pushq $0x202
    popfq
2:  nop
    cli
    CHECK count, $1
    CHECK at_rip, $2b
    movq $0, count
    SEND 0x31
    movq %rsp, %rbx
    pushq $DATA
    pushq %rbx
    pushq $0x202
    pushq $CODE64
    pushq $2f
    iretq
2:  nop
    cli
    CHECK count, $1
    CHECK at_rip, $2b
    TEST "SYSRET lets them in"
    WRITE_MSR 0xc0000080, 0xd01
    WRITE_MSR 0xc0000081, 0, 0x230008
    movq $0, count
    SEND 0x31
    movl $user_spin+USER, %ecx
    movl $0x3202, %r11d
    EXPECT_RESUME 1f
    movq %rsp, %rbx
    movq $USER_STACK_TOP+USER, %rsp
    sysretq
1:  movq $0, resume_rip
    CHECKL fault_vector, $0x40
    CHECK count, $1
    CHECK at_rip, $user_spin+USER

    TEST "the higher vector comes first"
    movq $0, count
    SEND 0x31
    SEND 0x51
    sti
    nop
    nop
    cli
    CHECK count, $2
    CHECK first, $0x51
    CHECK last, $0x31
    TEST "the task priority"
    movq $0, count
    movl $5, %eax
    movq %rax, %cr8
    movl TPR(%r15), %eax
    CHECKL %eax, $0x50
    SEND 0x31
    sti
    movl $100, %ecx
1:  pause
    loop 1b
    CHECK count, $0
    xorl %eax, %eax
    movq %rax, %cr8
    movl $100, %ecx
1:  pause
    loop 1b
    cli
    CHECK count, $1
    movl $0x40, TPR(%r15)
    movq %cr8, %rax
    CHECK %rax, $4
    movl $0, TPR(%r15)
    TEST "in service it holds back its like"
    GATE 0x51, nesting_handler
    GATE 0x31, low_handler
    movq $0, count
    SEND 0x51
    sti
    nop
    nop
    cli
    # The handler let interrupts in: 0x31 waited for its end.
    CHECK count, $1
    CHECK note+40, $0
    GATE 0x51, high_handler

    TEST "HLT ends with an interrupt"
    movq $0, count
    SEND 0x31
    sti
    hlt
1:  cli
    CHECK count, $1
    CHECK at_rip, $1b
    TEST "HLT waits for the timer"
    movq $0, count
    movl $0x31, LVT_TIMER(%r15)
    movl $0xb, TIMER_DIVIDE(%r15)
    movl $100000, TIMER_INITIAL(%r15)
    sti
    hlt
1:  cli
    CHECK count, $1
    CHECK at_rip, $1b
    movl $0x10000, LVT_TIMER(%r15)

    TEST "NMI"
    movq $0, count
    movl $0, ICR_HIGH(%r15)
    movl $0x4400, ICR_LOW(%r15)
    movl $10000, %ecx
1:  pause
    cmpq $0, count
    loope 1b
    CHECK count, $1
    TEST "one NMI at a time"
    # The handler sends itself another, which comes behind its IRET.
    GATE 2, nested_nmi_handler
    movq $0, count
    movq $0, note+40
    movl $0x4400, ICR_LOW(%r15)
    movl $10000, %ecx
1:  pause
    cmpq $2, count
    loopne 1b
    CHECK count, $2
    # Inside the handler the count stayed.
    CHECK note+40, $1
    THE_END

low_handler:
    pushq %rax
    movl $0x31, %eax
    jmp note_handler
high_handler:
    pushq %rax
    movl $0x51, %eax
note_handler:
    cmpq $0, count
    jne 1f
    movq %rax, first
1:  movq %rax, last
    incq count
    movq 8(%rsp), %rax
    movq %rax, at_rip
    movl $0, EOI(%r15)
    popq %rax
    iretq
nesting_handler:
    pushq %rax
    pushq %rcx
    SEND 0x31
    sti
    movl $100, %ecx
1:  pause
    loop 1b
    cli
    movq count, %rax
    movq %rax, note+40
    movl $0, EOI(%r15)
    popq %rcx
    popq %rax
    iretq
nmi_handler:
    incq count
    iretq
nested_nmi_handler:
    incq count
    cmpq $1, count
    jne 2f
    movl $0x4400, ICR_LOW(%r15)
    pushq %rcx
    movl $1000, %ecx
1:  pause
    loop 1b
    popq %rcx
    pushq %rax
    movq count, %rax
    movq %rax, note+40
    popq %rax
2:  iretq

user_spin:
    movl $1000, %ecx
1:  pause
    loop 1b
    int $0x40
