# Delivery of interrupts and exceptions in long mode: gates, frames, stacks, double faults (SDM vol. 3A chapter 6).
.include "long.inc"

.set VECTOR, 0x41
.set GATE41, IDT+VECTOR*16
# Descriptors of this guest's own.
.set CODE_ABSENT, EXTRA
.set CODE_USER, EXTRA+8
.set CODE_CONFORMING, EXTRA+16

# The instruction raises an interrupt: it returns behind itself.
.macro INTERRUPTS vector, insn:vararg
    EXPECT_RESUME .Lresume\@
    \insn
.Lresume\@:
    CHECKL fault_vector, $\vector
    CHECKL fault_error, $NO_ERROR
    CHECK fault_rip, $.Lresume\@
    movq $0, resume_rip
.endm

main:
    movabsq $0x00af1b000000ffff, %rax
    movq %rax, GDT+CODE_ABSENT
    movabsq $0x00affb000000ffff, %rax
    movq %rax, GDT+CODE_USER
    movabsq $0x00af9f000000ffff, %rax
    movq %rax, GDT+CODE_CONFORMING

    TEST "frame of an interrupt gate"
    pushq $0x602
    popfq
    movq %rsp, %rbx
    INTERRUPTS VECTOR, int $VECTOR
    movq fault_flags, %rax
    CHECKL %eax, $0x602
    CHECK fault_cs, $CODE64
    CHECK fault_ss, $DATA
    CHECK fault_rsp, %rbx
    andq $~15, %rbx
    subq $40, %rbx
    CHECK handler_rsp, %rbx
    CHECK handler_ss, $DATA
    # An interrupt gate clears IF; DF stays.
    CHECK handler_flags, $0x402
    cli
    TEST "the stack is aligned"
    movq %rsp, %rbx
    subq $3, %rsp
    INTERRUPTS VECTOR, int $VECTOR
    addq $3, %rsp
    movq handler_rsp, %rax
    andl $15, %eax
    CHECKL %eax, $8
    TEST "trap gate"
    DEFAULT_GATE VECTOR, 0x8f
    pushq $0x4202
    popfq
    INTERRUPTS VECTOR, int $VECTOR
    # NT is cleared, IF stays.
    CHECK handler_flags, $0x202
    movq fault_flags, %rax
    CHECKL %eax, $0x4202
    pushq $2
    popfq
    DEFAULT_GATE VECTOR
    TEST "IST"
    DEFAULT_GATE VECTOR, 0x8e, 1
    movq %rsp, %rbx
    INTERRUPTS VECTOR, int $VECTOR
    CHECK handler_rsp, $IST_STACK_TOP-40
    CHECK fault_rsp, %rbx
    CHECK handler_ss, $DATA
    DEFAULT_GATE VECTOR

    TEST "from user code"
    DEFAULT_GATE VECTOR, 0xee
    USER_RUN user_int
    CHECKL fault_vector, $VECTOR
    CHECK fault_cs, $USER_CODE64
    CHECK fault_ss, $USER_DATA
    CHECK fault_rsp, $USER_STACK_TOP+USER
    CHECK handler_ss, $0
    CHECK handler_rsp, $STACK_TOP-0x400-40
    CHECK handler_cs, $CODE64
    TEST "a gate's privilege"
    DEFAULT_GATE VECTOR, 0xce
    USER_FAULT 13, VECTOR*8+2, user_int, user_int
    DEFAULT_GATE VECTOR
    USER_FAULT 13, VECTOR*8+2, user_int, user_int
    TEST "INT3's gate has a privilege"
    USER_FAULT 13, 3*8+2, user_int3, user_int3
    DEFAULT_GATE 3, 0xee
    USER_RUN user_int3
    CHECKL fault_vector, $3
    CHECK fault_rip, $user_int3+1+USER
    DEFAULT_GATE 3
    TEST "INT1's gate has none"
    USER_RUN user_int1
    CHECKL fault_vector, $1
    CHECK fault_rip, $user_int1+1+USER
    TEST "exceptions look at no privilege"
    USER_FAULT 6, NO_ERROR, user_ud2, user_ud2

    TEST "gate not present"
    DEFAULT_GATE VECTOR, 0x0e
    FAULT 11, VECTOR*8+2, int $VECTOR
    DEFAULT_GATE 6, 0x0e
    # An exception that the program did not ask for sets EXT.
    FAULT 11, 6*8+3, ud2
    DEFAULT_GATE 6
    TEST "gate of a wrong type"
    DEFAULT_GATE VECTOR, 0x85
    FAULT 13, VECTOR*8+2, int $VECTOR
    DEFAULT_GATE VECTOR, 0x86
    FAULT 13, VECTOR*8+2, int $VECTOR
    DEFAULT_GATE VECTOR, 0x8c
    FAULT 13, VECTOR*8+2, int $VECTOR
    DEFAULT_GATE VECTOR, 0x9e
    FAULT 13, VECTOR*8+2, int $VECTOR
    # The type comes before presence.
    DEFAULT_GATE VECTOR, 0x05
    FAULT 13, VECTOR*8+2, int $VECTOR
    TEST "privilege comes before presence"
    DEFAULT_GATE VECTOR, 0x0e
    USER_FAULT 13, VECTOR*8+2, user_int, user_int
    DEFAULT_GATE VECTOR
    TEST "beyond the table"
    movw $0x40f, idt_pointer64
    lidt idt_pointer64
    FAULT 13, VECTOR*8+2, int $VECTOR
    movw $0x41e, idt_pointer64
    lidt idt_pointer64
    FAULT 13, VECTOR*8+2, int $VECTOR
    movw $0x41f, idt_pointer64
    lidt idt_pointer64
    INTERRUPTS VECTOR, int $VECTOR
    movw $0xfff, idt_pointer64
    lidt idt_pointer64

    TEST "the handler's code segment"
    movw $0, GATE41+2
    FAULT 13, 0, int $VECTOR
    movw $DATA, GATE41+2
    FAULT 13, DATA, int $VECTOR
    movw $CODE32, GATE41+2
    FAULT 13, CODE32, int $VECTOR
    movw $CODE_ABSENT, GATE41+2
    FAULT 11, CODE_ABSENT, int $VECTOR
    movw $CODE_USER, GATE41+2
    FAULT 13, CODE_USER, int $VECTOR
    movw $0x1f0, GATE41+2
    FAULT 13, 0x1f0, int $VECTOR
    movw $0x200, GATE41+2
    FAULT 13, 0x200, int $VECTOR
    movw $0xc, GATE41+2
    FAULT 13, 0xc, int $VECTOR
    movw $CODE64+3, GATE41+2
    INTERRUPTS VECTOR, int $VECTOR
    movw $CODE64, GATE41+2
    CHECK handler_cs, $CODE64
    TEST "and EXT in its error codes"
    movw $DATA, IDT+6*16+2
    FAULT 13, DATA+1, ud2
    movw $0, IDT+6*16+2
    FAULT 13, 1, ud2
    movw $CODE_ABSENT, IDT+6*16+2
    FAULT 11, CODE_ABSENT+1, ud2
    movw $CODE64, IDT+6*16+2
    TEST "a conforming handler keeps the privilege"
    DEFAULT_GATE VECTOR, 0xee
    movl $user_handler+USER, %eax
    movw %ax, GATE41
    shrl $16, %eax
    movw %ax, GATE41+6
    movw $CODE_CONFORMING, GATE41+2
    USER_RUN user_int
    CHECKL fault_vector, $0x40
    CHECK fault_cs, $CODE_CONFORMING+3
    CHECK fault_ss, $USER_DATA
    DEFAULT_GATE VECTOR

    TEST "the task state is too short"
    movb $0x89, GDT+TSS+5
    movw $0x5a, GDT+TSS
    movl $TSS, %eax
    ltr %ax
    # IST 7 is at 0x54 to 0x5b.
    DEFAULT_GATE VECTOR, 0x8e, 7
    FAULT 10, TSS, int $VECTOR
    DEFAULT_GATE 6, 0x8e, 7
    FAULT 10, TSS+1, ud2
    DEFAULT_GATE 6
    DEFAULT_GATE VECTOR
    movb $0x89, GDT+TSS+5
    movw $0x67, GDT+TSS
    ltr %ax
    TEST "stacks that are not canonical"
    movabsq $0x800000000100, %rax
    movq %rax, TSS_AREA+44
    DEFAULT_GATE VECTOR, 0x8e, 2
    FAULT 12, 0, int $VECTOR
    DEFAULT_GATE 6, 0x8e, 2
    FAULT 12, 1, ud2
    DEFAULT_GATE 6
    DEFAULT_GATE VECTOR

    TEST "contributory exceptions double"
    DEFAULT_GATE 13, 0x0e
    movl $0x1fc0, %eax
    FAULT 8, 0, movw %ax, %ds
    DEFAULT_GATE 13
    DEFAULT_GATE 0, 0x0e
    xorl %ecx, %ecx
    FAULT 8, 0, divl %ecx
    DEFAULT_GATE 0
    TEST "page faults double with contributory ones"
    DEFAULT_GATE 14, 0x0e
    FAULT 8, 0, movl 0x50000000, %eax
    DEFAULT_GATE 14
    TEST "a page fault in delivering a page fault doubles"
    # Gates 0 to 8 are there, 9 and up on a missing page.
    movl $9*16, %ebx
    call split_table
    movq $0, PT_TEST+8
    lidt test_pointer
    FAULT 8, 0, movl 0x50000000, %eax
    CHECK fault_cr2, $TEST_PAGES+0x1000+5*16
    lidt idt_pointer64
    TEST "but not in delivering a general protection fault"
    # Gates 0 to 13 are on a missing page.
    movl $14*16, %ebx
    call split_table
    movq $0, PT_TEST
    lidt test_pointer
    movl $0x1fc0, %eax
    FAULT 14, 0, movw %ax, %ds
    CHECK fault_cr2, $TEST_PAGES+0x1000-16
    lidt idt_pointer64
    TEST "a double fault pushes zero and the first instruction"
    DEFAULT_GATE 13, 0x0e
    DEFAULT_GATE 8, 0x8e, 1
    movq %rsp, %rbx
    FAULT 8, 0, movw %ax, %ds
    CHECK handler_rsp, $IST_STACK_TOP-48
    CHECK fault_rsp, %rbx
    DEFAULT_GATE 13
    THE_END

# Copies the interrupt table so that RBX bytes of it lie below the end of page 0 of the test pages.
split_table:
    movq $TEST_FRAMES+7, PT_TEST
    movq $TEST_FRAMES+0x1007, PT_TEST+8
    movl $IDT, %esi
    movl $TEST_FRAMES+0x1000, %edi
    subq %rbx, %rdi
    leaq TEST_PAGES-TEST_FRAMES(%rdi), %rax
    movq %rax, test_pointer+2
    movl $0x400, %ecx
    rep movsb
    movq %cr3, %rax
    movq %rax, %cr3
    ret
test_pointer:
    .word 0x3ff
    .quad 0

user_int:
    int $VECTOR
user_int40:
    int $0x40
user_int3:
    int3
user_int1:
    .byte 0xf1
user_ud2:
    ud2
user_handler:
    int $0x40
